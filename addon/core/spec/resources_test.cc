// linux.resources: reading, writing, and what an update changes.
#include <doctest/doctest.h>

#include <string>

#include "base/doctest_error.h"
#include "tare/spec.h"

namespace {

using tare::parse_resources;
using tare::resources_json;

std::string rewritten(const std::string& text) {
  return resources_json(parse_resources(text, "RESOURCES"));
}

std::string updated(const std::string& before, const std::string& changes) {
  return resources_json(tare::updated_resources(parse_resources(before, "BEFORE"),
                                                parse_resources(changes, "CHANGES")));
}

}  // namespace

TEST_CASE("what is read is written with the same values") {
  for (
      const char* const text : {
          R"({"memory":{"limit":1048576,"reservation":4096,"swap":-1}})",
          R"({"cpu":{"shares":512,"quota":50000,"burst":10,"period":100000,"cpus":"0-1"}})",
          R"({"pids":{"limit":7}})",
          R"({"hugepageLimits":[{"pageSize":"2MB","limit":0}]})",
          R"({"unified":{"memory.high":"1","pids.max":"2"}})",
          R"({"devices":[{"allow":false,"access":"rwm"},{"allow":true,"type":"c","major":1,"minor":3,"access":"r"}]})",
      }) {
    const std::string once = rewritten(text);
    CHECK(once != "{}");
    CHECK(rewritten(once) == once);
    CHECK(updated("{}", text) == once);
  }
}

TEST_CASE("an update replaces what it sets and keeps the rest") {
  CHECK(updated(R"({"memory":{"limit":100,"reservation":50}})", R"({"memory":{"limit":200}})") ==
        rewritten(R"({"memory":{"limit":200,"reservation":50}})"));
  CHECK(updated(R"({"cpu":{"shares":5,"cpus":"0"}})", R"({"cpu":{"shares":0,"cpus":""}})") ==
        rewritten(R"({"cpu":{"shares":5,"cpus":"0"}})"));
  CHECK(updated(R"({"pids":{"limit":5}})", R"({"pids":{"limit":0}})") ==
        rewritten(R"({"pids":{"limit":0}})"));
}

TEST_CASE("unlimited memory removes the limit of memory and swap") {
  CHECK(updated(R"({"memory":{"limit":100,"swap":200}})", R"({"memory":{"limit":-1}})") ==
        rewritten(R"({"memory":{"limit":-1}})"));
}

TEST_CASE("an element of a list replaces the one with its key; device rules are replaced whole") {
  CHECK(updated(R"({"unified":{"pids.max":"1","memory.high":"2"}})",
                R"({"unified":{"pids.max":"3","cpu.idle":"1"}})") ==
        rewritten(R"({"unified":{"pids.max":"3","memory.high":"2","cpu.idle":"1"}})"));
  const std::string rule = R"({"devices":[{"allow":true,"type":"c","major":1,"access":"r"}]})";
  CHECK(updated(R"({"devices":[{"allow":false,"access":"rwm"}]})", rule) == rewritten(rule));
}

TEST_CASE("errors name the member") {
  const auto error = [](const std::string& text) {
    return tare::test::error_of([&text] { parse_resources(text, "RESOURCES"); });
  };
  CHECK(error(R"({"memory":{"limit":"1g"}})").find("RESOURCES: memory.limit: expected") !=
        std::string::npos);
  CHECK(error(R"({"devices":[{"allow":true},{"allow":true,"type":"x"}]})")
            .find("RESOURCES: devices[1].type: ") != std::string::npos);
}

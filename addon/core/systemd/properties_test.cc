// linux.resources as properties of a unit.
#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "base/doctest_error.h"
#include "cgroup/cgroup.h"
#include "systemd/doctest_properties.h"
#include "systemd/systemd.h"
#include "tare/spec.h"

namespace {

using Lines = std::vector<std::string>;

const std::string infinity = "18446744073709551615";

/// What systemd and the cgroup get for linux.resources: warnings, properties, and what is then
/// written to cpu.max.
Lines from_resources(const std::string& resources, unsigned version = 252) {
  std::vector<tare::CgroupSetting> settings =
      tare::cgroup_settings(tare::parse_resources(resources, "RESOURCES"));
  Lines lines;
  for (const std::string& warning : tare::adapt_to_systemd(settings, version)) {
    lines.push_back("warning: " + warning);
  }
  for (const auto& properties : {tare::resource_properties(settings, version),
                                 tare::creation_properties(settings, version)}) {
    for (const std::string& line : tare::test::shown(properties)) {
      lines.push_back(line);
    }
  }
  for (const tare::CgroupSetting& setting : settings) {
    if (setting.file == "cpu.max") {
      lines.push_back("cpu.max: " + setting.value);
    }
  }
  return lines;
}

}  // namespace

TEST_CASE("linux.resources as properties") {
  struct Case {
    std::string resources;
    Lines expected;
  };
  const std::vector<Case> cases = {
      {"{}", {}},
      {R"({"memory":{"limit":67108864,"swap":100663296,"reservation":33554432},"cpu":{"shares":1024,"cpus":"0,2-3","mems":"0"},"pids":{"limit":42},"blockIO":{"weight":500}})",
       {"TasksMax t 42", "MemorySwapMax t 33554432", "MemoryMax t 67108864", "MemoryLow t 33554432",
        "IOWeight t 4950", "CPUWeight t 100", "AllowedCPUs ay [13]", "AllowedMemoryNodes ay [1]"}},
      {R"({"pids":{"limit":-1}})", {"TasksMax t " + infinity}},
      // systemd rejects a TasksMax of 0.
      {R"({"pids":{"limit":0}})", {"TasksMax t 1"}},
      {R"({"memory":{"limit":-1,"swap":-1}})",
       {"MemorySwapMax t " + infinity, "MemoryMax t " + infinity}},
      // No swap; where the memory limit is 0 too, neither is set.
      {R"({"memory":{"limit":4096,"swap":0}})", {"MemorySwapMax t 0", "MemoryMax t 4096"}},
      {R"({"memory":{"swap":0}})", {"MemorySwapMax t 0"}},
      {R"({"memory":{"limit":0,"swap":0}})", {}},
      {R"({"cpu":{"cpus":"0-9"}})", {"AllowedCPUs ay [255, 3]"}},
  };
  for (const Case& each : cases) {
    CAPTURE(each.resources);
    CHECK(from_resources(each.resources) == each.expected);
  }
}

TEST_CASE("a quota is rounded up to hundredths of a processor, for systemd and in the cgroup") {
  struct Case {
    std::string cpu;
    Lines expected;
  };
  const std::vector<Case> cases = {
      {R"({"quota":50000})", {"CPUQuotaPerSecUSec t 500000", "cpu.max: 50000"}},
      {R"({"quota":12345,"period":50000})",
       {"CPUQuotaPeriodUSec t 50000", "CPUQuotaPerSecUSec t 250000", "cpu.max: 12500 50000"}},
      {R"({"quota":1001,"period":1000})",
       {"CPUQuotaPeriodUSec t 1000", "CPUQuotaPerSecUSec t 1010000", "cpu.max: 1010 1000"}},
      {R"({"quota":-1})", {"CPUQuotaPerSecUSec t " + infinity, "cpu.max: max"}},
      {R"({"quota":-1,"period":1000})",
       {"CPUQuotaPeriodUSec t 1000", "CPUQuotaPerSecUSec t " + infinity, "cpu.max: max 1000"}},
  };
  for (const Case& each : cases) {
    CAPTURE(each.cpu);
    CHECK(from_resources(R"({"cpu":)" + each.cpu + "}") == each.expected);
  }
}

TEST_CASE("the unified map as properties") {
  const std::string unified = R"({"unified":{
        "cpu.max": "2000 10000",
        "cpu.weight": " 42\n",
        "cpuset.cpus": "1",
        "cpuset.mems": "0",
        "io.weight": "default 200",
        "memory.high": "20M",
        "memory.low": "max",
        "memory.max": "41943040",
        "memory.min": "0",
        "memory.swap.max": "1g",
        "pids.max": "0",
        "hugetlb.2MB.max": "0"
      }})";
  const Lines expected = {
      "CPUQuotaPeriodUSec t 10000",
      "CPUQuotaPerSecUSec t 200000",
      "CPUWeight t 42",
      "AllowedCPUs ay [2]",
      "AllowedMemoryNodes ay [1]",
      "IOWeight t 200",
      "MemoryHigh t 20971520",
      "MemoryLow t " + infinity,
      "MemoryMax t 41943040",
      "MemoryMin t 0",
      "MemorySwapMax t 1073741824",
      "TasksMax t 1",
      "cpu.max: 2000 10000",
  };
  CHECK(from_resources(unified) == expected);
  // The weight of one device has no property.
  CHECK(from_resources(R"({"unified":{"io.weight":"8:0 200"}})").empty());
}

TEST_CASE("values of the unified map that no property can have") {
  struct Case {
    std::string file;
    std::string value;
  };
  const std::vector<Case> cases = {
      {"cpu.max", "x"},           {"cpu.max", "1 0"},
      {"cpu.weight", "-1"},       {"cpuset.cpus", "3-1"},
      {"cpuset.cpus", "0-99999"}, {"cpuset.mems", "0-3:1/2"},
      {"memory.max", "12Q"},      {"memory.max", "99999999999T"},
      {"pids.max", ""},
  };
  for (const Case& each : cases) {
    CAPTURE(each.file);
    CAPTURE(each.value);
    CHECK(tare::test::error_of([&] {
            from_resources(R"({"unified":{")" + each.file + R"(":")" + each.value + R"("}})");
          }) == "ERR_TARE_INVALID_CONFIG config.json: linux.resources.unified[\"" + each.file +
                    "\"]: \"" + each.value +
                    "\" has no equivalent among systemd's properties for " + each.file +
                    "; write it as a plain value");
  }
}

TEST_CASE("properties that depend on systemd's version") {
  struct Case {
    std::string resources;
    unsigned version;
    Lines expected;
  };
  const std::string cpu = R"({"cpu":{"quota":10000,"period":10000,"cpus":"0"}})";
  const std::string no_group_kill = R"({"unified":{"memory.oom.group":"0"}})";
  const std::string group_kill = R"({"unified":{"memory.oom.group":"1"}})";
  const std::vector<Case> cases = {
      {cpu, 241, {"CPUQuotaPerSecUSec t 1000000", "cpu.max: 10000 10000"}},
      {cpu,
       243,
       {"CPUQuotaPeriodUSec t 10000", "CPUQuotaPerSecUSec t 1000000", "cpu.max: 10000 10000"}},
      {R"({"cpu":{"idle":1}})", 251, {}},
      {R"({"cpu":{"idle":1}})", 252, {"CPUWeight t 0"}},
      {R"({"cpu":{"idle":0}})", 252, {}},
      {R"({"cpu":{"idle":1,"shares":1024}})",
       252,
       {"warning: unable to apply both cpu.weight and cpu.idle to systemd, ignoring cpu.weight",
        "CPUWeight t 0"}},
      {no_group_kill, 252, {}},
      {no_group_kill, 253, {"OOMPolicy s 'continue'"}},
      {group_kill, 252, {}},
      {group_kill, 253, {"OOMPolicy s 'kill'"}},
  };
  for (const Case& each : cases) {
    CAPTURE(each.resources);
    CAPTURE(each.version);
    CHECK(from_resources(each.resources, each.version) == each.expected);
  }
}

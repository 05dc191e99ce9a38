// The unit that linux.cgroupsPath names, and its cgroup.
#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "base/doctest_error.h"
#include "systemd/systemd.h"

namespace {

tare::SystemdUnit unit(const std::string& path, const std::string& id = "web") {
  tare::Spec spec;
  spec.linux_.cgroups_path = path;
  return tare::systemd_unit_for(spec, id);
}

/// The unit's cgroup, below the system manager's.
std::string unit_cgroup(tare::SystemdUnit unit) {
  if (unit.slice.empty()) {
    unit.slice = tare::systemd_default_slice(tare::SystemdManager::system);
  }
  return tare::systemd_unit_path(unit);
}

}  // namespace

TEST_CASE("linux.cgroupsPath names a unit") {
  struct Case {
    std::string path;
    std::string slice;
    std::string name;
    std::string cgroup;
  };
  const std::vector<Case> cases = {
      {"", "", "tare-web.scope", "/system.slice/tare-web.scope"},
      {"system.slice:docker:1234", "system.slice", "docker-1234.scope",
       "/system.slice/docker-1234.scope"},
      {"a-b-c.slice:p:n", "a-b-c.slice", "p-n.scope", "/a.slice/a-b.slice/a-b-c.slice/p-n.scope"},
      {"-:p:n", "-.slice", "p-n.scope", "/p-n.scope"},
      {"-.slice:p:n", "-.slice", "p-n.scope", "/p-n.scope"},
      {"::n", "", "-n.scope", "/system.slice/-n.scope"},
      {"::", "", "-.scope", "/system.slice/-.scope"},
      {":_x:n", "", "_x-n.scope", "/system.slice/__x-n.scope"},
      // crun's form with two parts.
      {"a-b.slice:n", "a-b.slice", "n.scope", "/a.slice/a-b.slice/n.scope"},
      {":n", "", "n.scope", "/system.slice/n.scope"},
      {"-:_n", "-.slice", "_n.scope", "/__n.scope"},
  };
  for (const Case& each : cases) {
    CAPTURE(each.path);
    const tare::SystemdUnit named = unit(each.path);
    CHECK(named.slice == each.slice);
    CHECK(named.name == each.name);
    CHECK(unit_cgroup(named) == each.cgroup);
  }
}

TEST_CASE("the unit's name escapes characters of an id") {
  const tare::SystemdUnit named = unit("", "a+b");
  CHECK(named.slice.empty());
  CHECK(named.name == R"(tare-a\x2bb.scope)");
  CHECK(unit_cgroup(named) == R"(/system.slice/tare-a\x2bb.scope)");
}

TEST_CASE("an invalid linux.cgroupsPath") {
  struct Case {
    std::string path;
    std::string message;
  };
  const auto wrong_format = [](const std::string& path) {
    return Case{path,
                "expected cgroupsPath to be of format \"slice:prefix:name\" for systemd cgroups, "
                "got \"" +
                    path +
                    "\" instead; write it like system.slice:tare:web or, without a prefix, "
                    "system.slice:web, or leave --systemd-cgroup out"};
  };
  const std::string names_slice =
      R"("n.slice" is a slice, which cannot hold processes; give the name of a scope)";
  const std::vector<Case> cases = {
      wrong_format("/a/b"),
      wrong_format("name"),
      wrong_format("a:b:c:d"),
      {"a:p:n", "invalid slice name: a"},
      {"a:n", "invalid slice name: a"},
      {"a.slice:", R"("a.slice:" has no name after the slice; write it like system.slice:web)"},
      {"a.slice:n.slice", names_slice},
      {".slice:p:n", "invalid slice name: .slice"},
      {"a/b.slice:p:n", "invalid slice name: a/b.slice"},
      {"a--b.slice:p:n", "invalid slice name: a--b.slice"},
      {"-a.slice:p:n", "invalid slice name: -a.slice"},
      {"a-.slice:p:n", "invalid slice name: a-.slice"},
      {":p:n.slice", names_slice},
      {":p:a/b",
       R"(invalid unit name "p-a/b.scope": it contains "/"; use letters, digits, ":", "-", "_" )"
       R"(and ".")"},
      {":p:" + std::string(300, 'n'),
       "the unit's name would have 308 characters; systemd's limit is 255: shorten it"},
  };
  for (const Case& each : cases) {
    CAPTURE(each.path);
    CHECK(tare::test::error_of([&] { unit(each.path); }) ==
          "ERR_TARE_INVALID_CONFIG config.json: linux.cgroupsPath: " + each.message);
  }
}

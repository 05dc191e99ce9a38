// A plan that continues a start is the plan that is made at once.
#include "plan/start.h"

#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "tare/plan.h"
#include "tare/spec.h"

namespace {

/// A configuration with what a start has to change: id mappings of the user namespace and of a
/// mount, and a working directory.
tare::Spec spec_of(const std::string& host_id, const std::string& program,
                   const std::string& directory) {
  const std::string mappings = R"([{"containerID":0,"hostID":)" + host_id + R"(,"size":65536}])";
  return tare::parse_spec(
      R"({"ociVersion":"1.3.0","process":{"args":[")" + program + R"("],"cwd":")" + directory +
          R"(","env":["PATH=/bin"],"user":{"uid":0,"gid":0}},)"
          R"("root":{"path":"rootfs"},"hostname":"web","mounts":[)"
          R"({"destination":"/proc","type":"proc","source":"proc"},)"
          R"({"destination":"/data","source":"/srv","options":["bind","idmap"]}],)"
          R"("linux":{"uidMappings":)" +
          mappings + R"(,"gidMappings":)" + mappings +
          R"(,"namespaces":[{"type":"pid"},{"type":"mount"},{"type":"user"},)"
          R"({"type":"uts"}],"maskedPaths":["/proc/kcore"]}})",
      "config.json");
}

std::vector<std::uint32_t> host_ids(const tare::Plan& plan) {
  std::vector<std::uint32_t> ids;
  for (const tare::Passed& passed : plan.passed()) {
    for (const tare::IdMapping& mapping : passed.uids) {
      ids.push_back(mapping.host_id);
    }
  }
  return ids;
}

tare::Host host() {
  tare::Host host;
  host.bundle = "/bundle";
  host.rootfs_in_reach = true;
  return host;
}

tare::PlanOptions options(const std::string& id) {
  tare::PlanOptions options;
  options.id = id;
  options.reaper = true;
  return options;
}

}  // namespace

TEST_CASE("a plan that continues a start equals one made at once") {
  const tare::PlanOptions one = options("one");
  const tare::PlanStart start =
      tare::make_plan_start(spec_of("1000", "", "/"), {host(), tare::start_options(one)}, nullptr);
  const tare::Spec spec = spec_of("2000", "/bin/true", "/work");
  tare::Host other = host();
  other.cgroup_dir = "/sys/fs/cgroup/two";
  const tare::PlanOptions two = options("two");

  const tare::Plan continued = tare::make_plan(
      start, spec, other, two, [](tare::IdMapping& mapping) { mapping.host_id += 1000; });
  const tare::Plan whole = tare::make_plan(spec, other, two);
  CHECK(continued.to_text() == whole.to_text());
  CHECK(host_ids(continued) == host_ids(whole));
  CHECK(host_ids(continued) == std::vector<std::uint32_t>{2000});
  CHECK(continued.clone_flags() == whole.clone_flags());
  CHECK(continued.has_reaper() == whole.has_reaper());
  CHECK(whole.to_text().find("_ses.two") != std::string::npos);
}

TEST_CASE("a start serves only where the facts about the host are the same") {
  const tare::PlanFacts facts{host(), {}};
  tare::PlanFacts other = facts;
  CHECK(tare::same_facts(facts, other.host, other.options));
  other.host.cgroup_dir = "/sys/fs/cgroup/two";
  CHECK(tare::same_facts(facts, other.host, other.options));
  other.host.rootfs_in_reach = false;
  CHECK_FALSE(tare::same_facts(facts, other.host, other.options));
  other = facts;
  other.options.no_new_keyring = true;
  CHECK_FALSE(tare::same_facts(facts, other.host, other.options));
}

TEST_CASE("configurations without a common start") {
  tare::Spec spec = spec_of("1000", "/bin/true", "/");
  CHECK(tare::has_common_start(spec));
  spec.mounts.back().type = "cgroup2";
  CHECK_FALSE(tare::has_common_start(spec));
}

// The values that are written for linux.resources, and the cgroup that linux.cgroupsPath names.
#include <doctest/doctest.h>
#include <fcntl.h>

#include <string>
#include <vector>

#include "base/doctest_error.h"
#include "cgroup/cgroup.h"
#include "tare/fd.h"
#include "tare/spec.h"

namespace {

using Lines = std::vector<std::string>;

/// Each write as "FILE VALUE", with " ?" if it may fail, and its alternative.
Lines settings(const std::string& resources) {
  Lines lines;
  for (const tare::CgroupSetting& each :
       tare::cgroup_settings(tare::parse_resources(resources, "RESOURCES"))) {
    lines.push_back(each.file + " " + each.value + (each.required ? "" : " ?") +
                    (each.tentative ? " tentative" : ""));
    if (!each.fallback_file.empty()) {
      lines.push_back("else " + each.fallback_file + " " + each.fallback_value);
    }
  }
  return lines;
}

std::string path(const std::string& given, tare::CgroupMode mode = tare::CgroupMode::unified) {
  tare::Spec spec;
  spec.linux_.cgroups_path = given;
  tare::CgroupHost host;
  host.mode = mode;
  return tare::cgroup_path_for(spec, "web", host);
}

}  // namespace

TEST_CASE("limits as files") {
  struct Case {
    std::string resources;
    Lines expected;
  };
  const std::vector<Case> cases = {
      {R"({"pids":{"limit":100}})", {"pids.max 100"}},
      {R"({"pids":{"limit":-1}})", {"pids.max max ?"}},
      {R"({"pids":{"limit":0}})", {"pids.max 1 ?"}},
      {R"({"memory":{"limit":4096000,"reservation":1024000,"swap":5096000}})",
       {"memory.swap.max 1000000", "memory.max 4096000", "memory.low 1024000"}},
      {R"({"memory":{"limit":4096,"swap":4096}})", {"memory.swap.max 0 ?", "memory.max 4096"}},
      {R"({"memory":{"limit":4096,"swap":0}})", {"memory.swap.max 0 ?", "memory.max 4096"}},
      {R"({"memory":{"swap":0}})", {"memory.swap.max 0 ?"}},
      {R"({"memory":{"limit":0,"swap":0}})", {}},
      {R"({"memory":{"limit":-1,"swap":0}})", {"memory.swap.max max ?", "memory.max max ?"}},
      {R"({"memory":{"limit":4096,"swap":-1}})", {"memory.swap.max max ?", "memory.max 4096"}},
      {R"({"memory":{"limit":-1}})", {"memory.swap.max max ?", "memory.max max ?"}},
      {R"({"memory":{"limit":-1,"swap":5096}})", {"memory.swap.max 5096", "memory.max max ?"}},
      {R"({"cpu":{"shares":1}})", {"cpu.weight 1"}},
      {R"({"cpu":{"shares":2}})", {"cpu.weight 1"}},
      {R"({"cpu":{"shares":512}})", {"cpu.weight 59"}},
      {R"({"cpu":{"shares":1024}})", {"cpu.weight 100"}},
      {R"({"cpu":{"shares":2048}})", {"cpu.weight 174"}},
      {R"({"cpu":{"shares":262144}})", {"cpu.weight 10000"}},
      {R"({"cpu":{"quota":20000,"period":50000}})", {"cpu.max 20000 50000"}},
      {R"({"cpu":{"quota":20000}})", {"cpu.max 20000"}},
      {R"({"cpu":{"period":50000}})", {"cpu.max max 50000 ?"}},
      {R"({"cpu":{"quota":20000,"burst":10000}})",
       {"cpu.max.burst 10000 tentative", "cpu.max 20000", "cpu.max.burst 10000"}},
      {R"({"cpu":{"idle":1,"shares":1024}})", {"cpu.weight 100 tentative", "cpu.idle 1"}},
      {R"({"cpu":{"idle":0,"shares":1024}})", {"cpu.idle 0 ?", "cpu.weight 100"}},
      {R"({"cpu":{"cpus":"0-1","mems":"0"}})", {"cpuset.cpus 0-1", "cpuset.mems 0"}},
      {R"({"blockIO":{"weight":10}})", {"io.bfq.weight 10", "else io.weight 1"}},
      {R"({"blockIO":{"weight":1000}})", {"io.bfq.weight 1000", "else io.weight 10000"}},
      {R"({"blockIO":{"weightDevice":[{"major":8,"minor":0,"weight":500}]}})",
       {"io.bfq.weight 8:0 500", "else io.weight 8:0 4950"}},
      {R"({"blockIO":{"throttleReadBpsDevice":[{"major":8,"minor":0,"rate":1000}],"throttleWriteBpsDevice":[{"major":8,"minor":0,"rate":0}],"throttleReadIOPSDevice":[{"major":8,"minor":0,"rate":5}],"throttleWriteIOPSDevice":[{"major":8,"minor":16,"rate":6}]}})",
       {"io.max 8:0 rbps=1000", "io.max 8:0 wbps=max ?", "io.max 8:0 riops=5",
        "io.max 8:16 wiops=6"}},
      {R"({"hugepageLimits":[{"pageSize":"2MB","limit":0}]})",
       {"hugetlb.2MB.max 0", "hugetlb.2MB.rsvd.max 0"}},
      {R"({"rdma":{"mlx5_1":{"hcaHandles":2,"hcaObjects":2000}}})",
       {"rdma.max mlx5_1 hca_handle=2 hca_object=2000"}},
      {R"({"unified":{"io.max":"8:0 rbps=1\n8:16 rbps=2"}})",
       {"io.max 8:0 rbps=1", "io.max 8:16 rbps=2"}},
      {R"({"unified":{"memory.high":"5"},"memory":{"limit":9},"pids":{"limit":7}})",
       {"pids.max 7", "memory.max 9", "memory.high 5"}},
  };
  for (const Case& each : cases) {
    CAPTURE(each.resources);
    CHECK(settings(each.resources) == each.expected);
  }
}

TEST_CASE("limits that only cgroup v1 has are named, and nothing is written") {
  struct Case {
    std::string resources;
    Lines warnings;
  };
  const std::vector<Case> cases = {
      {R"({"memory":{"kernel":1}})",
       {"config.json: linux.resources.memory.kernel: ignored, as cgroup v2 counts the kernel's "
        "memory with memory.limit"}},
      {R"({"memory":{"kernelTCP":1}})",
       {"config.json: linux.resources.memory.kernelTCP: ignored, as cgroup v2 counts socket "
        "buffers with memory.limit"}},
      {R"({"memory":{"swappiness":0}})",
       {"config.json: linux.resources.memory.swappiness: ignored, as cgroup v2 has one "
        "vm.swappiness for the whole host"}},
      {R"({"memory":{"disableOOMKiller":true}})",
       {"config.json: linux.resources.memory.disableOOMKiller: ignored, as cgroup v2 always has "
        "the OOM killer"}},
      {R"({"cpu":{"realtimeRuntime":1,"realtimePeriod":2}})",
       {"config.json: linux.resources.cpu.realtimeRuntime: ignored, as cgroup v2 does not limit "
        "the time of realtime processes",
        "config.json: linux.resources.cpu.realtimePeriod: ignored, as cgroup v2 does not limit the "
        "time of realtime processes"}},
      {R"({"blockIO":{"leafWeight":10,"weightDevice":[{"major":8,"minor":0,"leafWeight":10}]}})",
       {"config.json: linux.resources.blockIO.leafWeight: ignored, as cgroup v2 weighs a cgroup's "
        "processes and children alike",
        "config.json: linux.resources.blockIO.weightDevice[0].leafWeight: ignored, as cgroup v2 "
        "weighs a cgroup's processes and children alike"}},
      {R"({"network":{"classID":1,"priorities":[{"name":"lo","priority":1}]}})",
       {"config.json: linux.resources.network.classID: ignored, as cgroup v2 does not mark "
        "packets; nftables can, by `socket cgroupv2`",
        "config.json: linux.resources.network.priorities: ignored, as cgroup v2 does not mark "
        "packets; nftables can, by `socket cgroupv2`"}},
      {R"({"memory":{"kernel":-1,"kernelTCP":0,"disableOOMKiller":false,"useHierarchy":true},"cpu":{"realtimeRuntime":0,"realtimePeriod":0},"blockIO":{"leafWeight":0},"network":{"classID":0,"priorities":[]}})",
       {}},
  };
  for (const Case& each : cases) {
    CAPTURE(each.resources);
    CHECK(tare::ignored_resources(tare::parse_resources(each.resources, "RESOURCES")) ==
          each.warnings);
    CHECK(settings(each.resources).empty());
  }
}

TEST_CASE("the path of a cgroup") {
  const std::string text = tare::read_file_if_exists(AT_FDCWD, "/proc/self/cgroup").value();
  const std::size_t begin = text.find("0::") + 3;
  const std::string own = text.substr(begin, text.find('\n', begin) - begin);
  const std::string parent = own.substr(0, own.rfind('/'));
  CHECK(path("/a/b") == "/a/b");
  CHECK(path("/a/./b//c/../d/") == "/a/b/d");
  CHECK(path("a/b") == parent + "/a/b");
  CHECK(path("") == parent + "/web");
  CHECK(path("", tare::CgroupMode::hybrid) == parent + "/web");
  CHECK(path("", tare::CgroupMode::legacy) == "/web");
  const std::string no_name = "it does not end with the name of a cgroup; append one";
  const std::string leaves = "it leaves the cgroup where it begins; write it without \"..\"";
  struct Refusal {
    std::string given;
    std::string message;
  };
  const std::vector<Refusal> refusals = {
      {"/", no_name}, {"/a/..", no_name}, {"/a/../../b", leaves}, {"../b", leaves}};
  for (const Refusal& each : refusals) {
    CHECK(tare::test::error_of([&] { path(each.given); }) ==
          "ERR_TARE_INVALID_CONFIG config.json: linux.cgroupsPath: invalid path \"" + each.given +
              "\": " + each.message);
  }
}

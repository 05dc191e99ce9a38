// Converts linux.resources, which is modelled on cgroup v1, to the files of cgroup v2.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "cgroup/cgroup.h"
#include "cgroup/lists.h"

namespace tare {

namespace {

using Settings = std::vector<CgroupSetting>;

std::string device_number(std::int64_t major, std::int64_t minor) {
  return std::to_string(major) + ":" + std::to_string(minor);
}

std::string indexed(std::string_view list, std::size_t index) {
  return std::string(list) + "[" + std::to_string(index) + "]";
}

void add_pids(const Resources& resources, Settings& settings) {
  if (!resources.pids_limit) {
    return;
  }
  // Some callers write 0 for "no limit"; by the spec it is a limit. The container's first process
  // could not be cloned into a cgroup with pids.max 0, so the smallest limit is 1.
  const std::int64_t limit = *resources.pids_limit;
  settings.push_back({.controller = "pids",
                      .file = "pids.max",
                      .value = limit < 0 ? "max" : std::to_string(limit == 0 ? 1 : limit),
                      .field = "pids.limit",
                      .required = limit > 0});
}

/// Returns `bytes` in the format of the memory files: "max" for -1, none for "not set".
std::optional<std::string> memory_value(const std::optional<std::int64_t>& bytes) {
  if (!bytes || *bytes == 0) {
    return std::nullopt;
  }
  return *bytes == -1 ? "max" : std::to_string(*bytes);
}

/// Converts v1's limit of memory and swap together to v2's limit of swap alone.
std::optional<std::string> swap_value(const MemoryResources& memory) {
  // 0 is "no swap". Engines fill a template with 0 for "not set": then the memory limit is 0, too.
  if (memory.swap == 0 && memory.limit.value_or(1) > 0) {
    return "0";
  }
  const std::int64_t limit = memory.limit.value_or(0);
  std::optional<std::string> both = memory_value(memory.swap);
  if (!both) {
    // In v1, lifting the memory limit also lifted the limit of memory and swap.
    return limit == -1 ? std::optional<std::string>("max") : std::nullopt;
  }
  if (*both == "max" || limit == -1) {
    return both;
  }
  return std::to_string(*memory.swap - limit);
}

void add_memory(const MemoryResources& memory, Settings& settings) {
  // useHierarchy needs no setting: v2 always counts descendants.
  const auto limit = memory_value(memory.limit);
  const auto reservation = memory_value(memory.reservation);
  // A kernel without swap has no memory.swap.max, and satisfies "no swap" and "no limit" anyway.
  if (const auto swap = swap_value(memory)) {
    settings.push_back({.controller = "memory",
                        .file = "memory.swap.max",
                        .value = *swap,
                        .field = "memory.swap",
                        .required = *swap != "max" && *swap != "0"});
  }
  if (limit) {
    settings.push_back({.controller = "memory",
                        .file = "memory.max",
                        .value = *limit,
                        .field = "memory.limit",
                        .required = *limit != "max"});
  }
  if (reservation) {
    settings.push_back({.controller = "memory",
                        .file = "memory.low",
                        .value = *reservation,
                        .field = "memory.reservation"});
  }
}

/// Converts v1's shares (2 … 262144, 1024 by default) to v2's weight (1 … 10000, 100 by default),
/// by the curve through minimum, default and maximum that runc and crun use since 2025. A straight
/// line would make 1024 shares a weight of 39, less than any process outside of containers has.
std::uint64_t cpu_weight(std::uint64_t shares) {
  constexpr std::uint64_t min_shares = 2;
  constexpr std::uint64_t max_shares = 262144;
  if (shares <= min_shares) {
    return 1;
  }
  if (shares >= max_shares) {
    return 10000;
  }
  const double l = std::log2(static_cast<double>(shares));
  const double exponent = (l * l + 125 * l) / 612.0 - 7.0 / 34.0;
  return static_cast<std::uint64_t>(std::ceil(std::pow(10.0, exponent)));
}

void add_cpu_bandwidth(const CpuResources& cpu, Settings& settings) {
  const std::int64_t quota = cpu.quota.value_or(0);
  const std::uint64_t period = cpu.period.value_or(0);
  const bool has_max = quota != 0 || period != 0;
  CgroupSetting burst{.controller = "cpu",
                      .file = "cpu.max.burst",
                      .value = std::to_string(cpu.burst.value_or(0)),
                      .field = "cpu.burst",
                      .required = cpu.burst.value_or(0) != 0};
  if (cpu.burst) {
    // The kernel requires burst <= quota at each moment: a smaller burst must come before a smaller
    // quota, a larger one after a larger quota.
    burst.tentative = has_max;
    settings.push_back(burst);
  }
  if (has_max) {
    // A value without a period leaves the period as it is.
    std::string value = quota > 0 ? std::to_string(quota) : "max";
    if (period != 0) {
      value.append(" ").append(std::to_string(period));
    }
    settings.push_back({.controller = "cpu",
                        .file = "cpu.max",
                        .value = std::move(value),
                        .field = quota != 0 ? "cpu.quota" : "cpu.period",
                        .required = quota > 0,
                        .keep_quota = quota == 0});
    if (cpu.burst) {
      burst.tentative = false;
      settings.push_back(std::move(burst));
    }
  }
}

void add_cpu(const CpuResources& cpu, Settings& settings) {
  const bool idle = cpu.idle.value_or(0) != 0;
  const auto add_idle = [&] {
    if (cpu.idle) {
      settings.push_back({.controller = "cpu",
                          .file = "cpu.idle",
                          .value = std::to_string(*cpu.idle),
                          .field = "cpu.idle",
                          .required = idle});
    }
  };
  // The weight of an idle cgroup cannot be written: clear cpu.idle before it, or set it after.
  if (!idle) {
    add_idle();
  }
  if (const std::uint64_t shares = cpu.shares.value_or(0); shares != 0) {
    settings.push_back({.controller = "cpu",
                        .file = "cpu.weight",
                        .value = std::to_string(cpu_weight(shares)),
                        .field = "cpu.shares",
                        .tentative = idle});
  }
  if (idle) {
    add_idle();
  }
  add_cpu_bandwidth(cpu, settings);
}

void add_cpuset(const CpuResources& cpu, Settings& settings) {
  if (!cpu.cpus.empty()) {
    settings.push_back(
        {.controller = "cpuset", .file = "cpuset.cpus", .value = cpu.cpus, .field = "cpu.cpus"});
  }
  if (!cpu.mems.empty()) {
    settings.push_back(
        {.controller = "cpuset", .file = "cpuset.mems", .value = cpu.mems, .field = "cpu.mems"});
  }
}

/// Returns a setting for BFQ, which takes v1's range 10 … 1000 unchanged (its own is 1 … 1000). The
/// fallback is blk-iocost, whose range is 1 … 10000.
CgroupSetting io_weight(std::uint16_t weight, const std::string& device, std::string field) {
  const std::string prefix = device.empty() ? std::string() : device + " ";
  const unsigned converted = 1 + (weight - 10U) * 9999U / 990U;
  return {.controller = "io",
          .file = "io.bfq.weight",
          .value = prefix + std::to_string(weight),
          .field = std::move(field),
          .fallback_file = "io.weight",
          .fallback_value = prefix + std::to_string(converted)};
}

void add_throttle(const std::vector<ThrottleDevice>& devices, std::string_view list,
                  std::string_view key, Settings& settings) {
  for (std::size_t index = 0; index < devices.size(); ++index) {
    const ThrottleDevice& device = devices[index];
    // In v1 a rate of 0 removed a limit.
    const std::string rate = device.rate == 0 ? "max" : std::to_string(device.rate);
    settings.push_back({.controller = "io",
                        .file = "io.max",
                        .value = device_number(device.major, device.minor)
                                     .append(" ")
                                     .append(key)
                                     .append("=")
                                     .append(rate),
                        .field = indexed(list, index),
                        .required = device.rate != 0});
  }
}

void add_io(const BlockIoResources& io, Settings& settings) {
  if (const std::uint16_t weight = io.weight.value_or(0); weight != 0) {
    settings.push_back(io_weight(weight, "", "blockIO.weight"));
  }
  for (std::size_t index = 0; index < io.weight_device.size(); ++index) {
    const WeightDevice& device = io.weight_device[index];
    const std::string field = indexed("blockIO.weightDevice", index);
    if (const std::uint16_t weight = device.weight.value_or(0); weight != 0) {
      settings.push_back(
          io_weight(weight, device_number(device.major, device.minor), field + ".weight"));
    }
  }
  add_throttle(io.throttle_read_bps_device, "blockIO.throttleReadBpsDevice", "rbps", settings);
  add_throttle(io.throttle_write_bps_device, "blockIO.throttleWriteBpsDevice", "wbps", settings);
  add_throttle(io.throttle_read_iops_device, "blockIO.throttleReadIOPSDevice", "riops", settings);
  add_throttle(io.throttle_write_iops_device, "blockIO.throttleWriteIOPSDevice", "wiops", settings);
}

void add_hugetlb(const std::vector<HugepageLimit>& limits, Settings& settings) {
  for (std::size_t index = 0; index < limits.size(); ++index) {
    const HugepageLimit& limit = limits[index];
    const std::string field = indexed("hugepageLimits", index);
    // 0 is a limit here: no huge pages. Without the .rsvd limit a reservation succeeds, and the
    // process gets SIGBUS when it faults the pages in.
    const std::string prefix = "hugetlb." + limit.page_size;
    const std::string value = std::to_string(limit.limit);
    settings.push_back(
        {.controller = "hugetlb", .file = prefix + ".max", .value = value, .field = field});
    settings.push_back(
        {.controller = "hugetlb", .file = prefix + ".rsvd.max", .value = value, .field = field});
  }
}

void add_rdma(const std::vector<RdmaLimit>& limits, Settings& settings) {
  for (const RdmaLimit& limit : limits) {
    const std::string field = "rdma[\"" + limit.device + "\"]";
    std::string value = limit.device;
    if (limit.hca_handles) {
      value.append(" hca_handle=").append(std::to_string(*limit.hca_handles));
    }
    if (limit.hca_objects) {
      value.append(" hca_object=").append(std::to_string(*limit.hca_objects));
    }
    settings.push_back(
        {.controller = "rdma", .file = "rdma.max", .value = std::move(value), .field = field});
  }
}

void add_unified(const std::vector<std::pair<std::string, std::string>>& unified,
                 Settings& settings) {
  for (const auto& [key, value] : unified) {
    const std::string field = "unified[\"" + key + "\"]";
    const std::string controller = key.substr(0, key.find('.'));
    // A file with a line for each device takes one line per write.
    std::size_t at = 0;
    do {
      const std::size_t end = std::min(value.find('\n', at), value.size());
      settings.push_back({.controller = controller == "cgroup" ? "" : controller,
                          .file = key,
                          .value = value.substr(at, end - at),
                          .field = field});
      at = end + 1;
    } while (at < value.size());
  }
}

}  // namespace

std::vector<CgroupSetting> cgroup_settings(const Resources& resources) {
  Settings settings;
  add_pids(resources, settings);
  add_memory(resources.memory, settings);
  add_io(resources.block_io, settings);
  add_cpu(resources.cpu, settings);
  add_cpuset(resources.cpu, settings);
  add_hugetlb(resources.hugepage_limits, settings);
  add_rdma(resources.rdma, settings);
  add_unified(resources.unified, settings);
  return settings;
}

std::vector<std::string> ignored_resources(const Resources& resources, std::string_view prefix) {
  constexpr std::string_view realtime = "cgroup v2 does not limit the time of realtime processes";
  constexpr std::string_view leaf = "cgroup v2 weighs a cgroup's processes and children alike";
  constexpr std::string_view packets =
      "cgroup v2 does not mark packets; nftables can, by `socket cgroupv2`";
  const MemoryResources& memory = resources.memory;
  const CpuResources& cpu = resources.cpu;
  const BlockIoResources& io = resources.block_io;
  struct Row {
    std::string field;
    bool is_set;
    std::string_view reason;
  };
  std::vector<Row> rows = {
      {"memory.kernel", memory.kernel.value_or(0) > 0,
       "cgroup v2 counts the kernel's memory with memory.limit"},
      {"memory.kernelTCP", memory.kernel_tcp.value_or(0) > 0,
       "cgroup v2 counts socket buffers with memory.limit"},
      {"memory.swappiness", memory.swappiness.has_value(),
       "cgroup v2 has one vm.swappiness for the whole host"},
      {"memory.disableOOMKiller", memory.disable_oom_killer.value_or(false),
       "cgroup v2 always has the OOM killer"},
      {"cpu.realtimeRuntime", cpu.realtime_runtime.value_or(0) != 0, realtime},
      {"cpu.realtimePeriod", cpu.realtime_period.value_or(0) != 0, realtime},
      {"blockIO.leafWeight", io.leaf_weight.value_or(0) != 0, leaf},
  };
  for (std::size_t index = 0; index < io.weight_device.size(); ++index) {
    rows.push_back({indexed("blockIO.weightDevice", index) + ".leafWeight",
                    io.weight_device[index].leaf_weight.value_or(0) != 0, leaf});
  }
  rows.push_back({"network.classID", resources.network_class_id.value_or(0) != 0, packets});
  rows.push_back({"network.priorities", !resources.network_priorities.empty(), packets});
  std::vector<std::string> warnings;
  for (const Row& row : rows) {
    if (row.is_set) {
      warnings.push_back(
          std::string(prefix).append(row.field).append(": ignored, as ").append(row.reason));
    }
  }
  return warnings;
}

}  // namespace tare

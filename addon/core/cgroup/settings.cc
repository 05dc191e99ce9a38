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
#include "tare/error.h"

namespace tare {

namespace {

using Settings = std::vector<CgroupSetting>;

/// Throws errors about one linux.resources object.
class Complaint {
 public:
  explicit Complaint(std::string_view prefix) : prefix_(prefix) {}

  [[noreturn]] void invalid(std::string_view field, std::string_view message) const {
    Error error(ErrorKind::invalid_config,
                std::string(prefix_).append(field).append(": ").append(message));
    error.with_path(json_path(prefix_, field));
    throw error;
  }

 private:
  std::string_view prefix_;
};

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
std::optional<std::string> memory_value(const std::optional<std::int64_t>& bytes,
                                        std::string_view field, const Complaint& complaint) {
  if (!bytes || *bytes == 0) {
    return std::nullopt;
  }
  if (*bytes < -1) {
    complaint.invalid(
        field, "invalid limit " + std::to_string(*bytes) + "; give bytes, or -1 for no limit");
  }
  return *bytes == -1 ? "max" : std::to_string(*bytes);
}

/// Converts v1's limit of memory and swap together to v2's limit of swap alone.
std::optional<std::string> swap_value(const MemoryResources& memory, const Complaint& complaint) {
  // 0 is "no swap". Engines fill a template with 0 for "not set": then the memory limit is 0, too.
  if (memory.swap == 0 && memory.limit.value_or(1) > 0) {
    return "0";
  }
  const std::int64_t limit = memory.limit.value_or(0);
  std::optional<std::string> both = memory_value(memory.swap, "memory.swap", complaint);
  if (!both) {
    // In v1, lifting the memory limit also lifted the limit of memory and swap.
    return limit == -1 ? std::optional<std::string>("max") : std::nullopt;
  }
  if (*both == "max" || limit == -1) {
    return both;
  }
  if (limit == 0) {
    complaint.invalid("memory.swap",
                      "unable to set swap limit without memory limit; set memory.limit too");
  }
  if (*memory.swap < limit) {
    complaint.invalid("memory.swap", "memory+swap limit should be >= memory limit: " +
                                         std::to_string(*memory.swap) + " is less than " +
                                         std::to_string(limit) + "; raise it or remove it");
  }
  return std::to_string(*memory.swap - limit);
}

void add_memory(const MemoryResources& memory, const Complaint& complaint, Settings& settings) {
  // useHierarchy needs no setting: v2 always counts descendants.
  const auto limit = memory_value(memory.limit, "memory.limit", complaint);
  const auto reservation = memory_value(memory.reservation, "memory.reservation", complaint);
  // A kernel without swap has no memory.swap.max, and satisfies "no swap" and "no limit" anyway.
  if (const auto swap = swap_value(memory, complaint)) {
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
CgroupSetting io_weight(std::uint16_t weight, const std::string& device, std::string field,
                        const Complaint& complaint) {
  if (weight < 10 || weight > 1000) {
    complaint.invalid(field, std::to_string(weight) + " is out of range; give 10 to 1000");
  }
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

void add_io(const BlockIoResources& io, const Complaint& complaint, Settings& settings) {
  if (const std::uint16_t weight = io.weight.value_or(0); weight != 0) {
    settings.push_back(io_weight(weight, "", "blockIO.weight", complaint));
  }
  for (std::size_t index = 0; index < io.weight_device.size(); ++index) {
    const WeightDevice& device = io.weight_device[index];
    const std::string field = indexed("blockIO.weightDevice", index);
    if (const std::uint16_t weight = device.weight.value_or(0); weight != 0) {
      settings.push_back(io_weight(weight, device_number(device.major, device.minor),
                                   field + ".weight", complaint));
    }
  }
  add_throttle(io.throttle_read_bps_device, "blockIO.throttleReadBpsDevice", "rbps", settings);
  add_throttle(io.throttle_write_bps_device, "blockIO.throttleWriteBpsDevice", "wbps", settings);
  add_throttle(io.throttle_read_iops_device, "blockIO.throttleReadIOPSDevice", "riops", settings);
  add_throttle(io.throttle_write_iops_device, "blockIO.throttleWriteIOPSDevice", "wiops", settings);
}

/// Whether `size` has the spec's format, which the files' names also use: "2MB".
bool is_page_size(std::string_view size) {
  const std::size_t digits = size.find_first_not_of("0123456789");
  return digits != std::string_view::npos && digits != 0 && size.front() != '0' &&
         (size.substr(digits) == "KB" || size.substr(digits) == "MB" ||
          size.substr(digits) == "GB");
}

void add_hugetlb(const std::vector<HugepageLimit>& limits, const Complaint& complaint,
                 Settings& settings) {
  for (std::size_t index = 0; index < limits.size(); ++index) {
    const HugepageLimit& limit = limits[index];
    const std::string field = indexed("hugepageLimits", index);
    if (!is_page_size(limit.page_size)) {
      complaint.invalid(field + ".pageSize",
                        "invalid page size \"" + limit.page_size +
                            "\"; write a number and KB, MB or GB, such as \"2MB\"");
    }
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

void add_rdma(const std::vector<RdmaLimit>& limits, const Complaint& complaint,
              Settings& settings) {
  for (const RdmaLimit& limit : limits) {
    const std::string field = "rdma[\"" + limit.device + "\"]";
    if (limit.device.empty() || limit.device.find_first_of(" \n") != std::string::npos) {
      complaint.invalid(field, "invalid device name; it must not be empty or contain spaces");
    }
    if (!limit.hca_handles && !limit.hca_objects) {
      complaint.invalid(field, "give hcaHandles, hcaObjects or both");
    }
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
                 const Complaint& complaint, Settings& settings) {
  for (const auto& [key, value] : unified) {
    const std::string field = "unified[\"" + key + "\"]";
    const std::size_t dot = key.find('.');
    if (key.find('/') != std::string::npos) {
      complaint.invalid(field, "the key is the name of a file of the cgroup, without slashes");
    }
    if (dot == std::string::npos || dot == 0 || dot + 1 == key.size() ||
        key.find('\0') != std::string::npos) {
      complaint.invalid(field, "the key must be a file's name, CONTROLLER.PARAMETER");
    }
    const std::string controller = key.substr(0, dot);
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

std::vector<CgroupSetting> cgroup_settings(const Resources& resources, std::string_view prefix) {
  const Complaint complaint(prefix);
  Settings settings;
  add_pids(resources, settings);
  add_memory(resources.memory, complaint, settings);
  add_io(resources.block_io, complaint, settings);
  add_cpu(resources.cpu, settings);
  add_cpuset(resources.cpu, settings);
  add_hugetlb(resources.hugepage_limits, complaint, settings);
  add_rdma(resources.rdma, complaint, settings);
  add_unified(resources.unified, complaint, settings);
  return settings;
}

std::vector<std::string> ignored_resources(const Resources& resources, std::string_view prefix) {
  std::vector<std::string> warnings;
  const auto ignore = [&](bool is_set, std::string_view field, std::string_view reason) {
    if (is_set) {
      warnings.push_back(std::string(prefix).append(field).append(": ignored, as ").append(reason));
    }
  };
  constexpr std::string_view realtime = "cgroup v2 does not limit the time of realtime processes";
  constexpr std::string_view leaf = "cgroup v2 weighs a cgroup's processes and children alike";
  constexpr std::string_view packets =
      "cgroup v2 does not mark packets; nftables can, by `socket cgroupv2`";
  const MemoryResources& memory = resources.memory;
  ignore(memory.kernel.value_or(0) > 0, "memory.kernel",
         "cgroup v2 counts the kernel's memory with memory.limit");
  ignore(memory.kernel_tcp.value_or(0) > 0, "memory.kernelTCP",
         "cgroup v2 counts socket buffers with memory.limit");
  ignore(memory.swappiness.has_value(), "memory.swappiness",
         "cgroup v2 has one vm.swappiness for the whole host");
  ignore(memory.disable_oom_killer.value_or(false), "memory.disableOOMKiller",
         "cgroup v2 always has the OOM killer");
  ignore(resources.cpu.realtime_runtime.value_or(0) != 0, "cpu.realtimeRuntime", realtime);
  ignore(resources.cpu.realtime_period.value_or(0) != 0, "cpu.realtimePeriod", realtime);
  const BlockIoResources& io = resources.block_io;
  ignore(io.leaf_weight.value_or(0) != 0, "blockIO.leafWeight", leaf);
  for (std::size_t index = 0; index < io.weight_device.size(); ++index) {
    ignore(io.weight_device[index].leaf_weight.value_or(0) != 0,
           indexed("blockIO.weightDevice", index) + ".leafWeight", leaf);
  }
  ignore(resources.network_class_id.value_or(0) != 0, "network.classID", packets);
  ignore(!resources.network_priorities.empty(), "network.priorities", packets);
  return warnings;
}

}  // namespace tare

#include <algorithm>
#include <optional>
#include <tuple>

#include "validate/sections.h"

namespace tare {

namespace {

void check_device_rules(const std::vector<DeviceRule>& rules, Problems& problems) {
  constexpr const char* list = "linux.resources.devices";
  for (std::size_t i = 0; i < rules.size(); ++i) {
    const DeviceRule& rule = rules[i];
    if (rule.access.find_first_not_of("rwma") != std::string::npos) {
      problems.add(element(list, i, ".access"),
                   "invalid access " + quoted(rule.access) + "; use the letters r, w and m");
    }
    const std::pair<const char*, std::optional<std::int64_t>> numbers[] = {{".major", rule.major},
                                                                           {".minor", rule.minor}};
    for (const auto& [name, number] : numbers) {
      if (number && (*number < 0 || *number > 0xffffffff)) {
        problems.add(element(list, i, name), "invalid device number " + std::to_string(*number) +
                                                 "; use -1 or leave it out for all");
      }
    }
  }
}

void check_memory(const MemoryResources& memory, Problems& problems) {
  const std::string section = "linux.resources.memory.";
  const std::pair<const char*, std::optional<std::int64_t>> limits[] = {
      {"limit", memory.limit},   {"reservation", memory.reservation}, {"swap", memory.swap},
      {"kernel", memory.kernel}, {"kernelTCP", memory.kernel_tcp},
  };
  for (const auto& [name, limit] : limits) {
    if (limit && *limit < -1) {
      problems.add(section + name,
                   "invalid limit " + std::to_string(*limit) + "; give bytes, or -1 for no limit");
    }
  }
  if (memory.swappiness && *memory.swappiness > 100) {
    problems.add(section + "swappiness",
                 std::to_string(*memory.swappiness) + " is not in the range 0 to 100");
  }
  // `swap` is the limit of memory plus swap.
  const std::int64_t limit = memory.limit.value_or(0);
  const std::int64_t swap = memory.swap.value_or(0);
  if (swap > 0 && limit == 0) {
    problems.add(section + "swap",
                 "unable to set swap limit without memory limit; set memory.limit too");
  } else if (swap > 0 && limit > swap) {
    problems.add(section + "swap",
                 "memory+swap limit should be >= memory limit: " + std::to_string(swap) +
                     " is less than " + std::to_string(limit) + "; raise it or remove it");
  }
}

void check_cpu(const CpuResources& cpu, Problems& problems) {
  const std::string section = "linux.resources.cpu.";
  // The kernel's limits for cpu.max, in microseconds.
  constexpr std::int64_t min_time = 1000;
  constexpr std::uint64_t max_period = 1000000;
  const std::int64_t quota = cpu.quota.value_or(0);
  if (quota < -1 || (quota > 0 && quota < min_time)) {
    problems.add(section + "quota", "invalid quota " + std::to_string(quota) +
                                        "; give 1000 microseconds or more, or -1 for no limit");
  }
  const std::uint64_t period = cpu.period.value_or(0);
  if (period != 0 && (period < std::uint64_t{min_time} || period > max_period)) {
    problems.add(section + "period",
                 std::to_string(period) + " is not in the range 1000 to 1000000 microseconds");
  }
  if (quota > 0 && cpu.burst.value_or(0) > static_cast<std::uint64_t>(quota)) {
    problems.add(section + "burst", std::to_string(*cpu.burst) + " is above the quota of " +
                                        std::to_string(quota) + "; lower burst or raise quota");
  }
  if (cpu.idle && (*cpu.idle < 0 || *cpu.idle > 1)) {
    problems.add(section + "idle", std::to_string(*cpu.idle) + " is neither 0 nor 1");
  }
  const std::tuple<const char*, const std::string*, std::uint32_t> lists[] = {
      {"cpus", &cpu.cpus, processor_limit}, {"mems", &cpu.mems, memory_node_limit}};
  for (const auto& [name, list, limit] : lists) {
    if (!list->empty() && !number_mask(*list, limit)) {
      problems.add(section + name, "invalid list " + quoted(*list) +
                                       "; write numbers and ranges such as \"0-3,7\"");
    }
  }
}

/// Checks a cgroup v1 weight, as used by the spec; 0 means "not set".
void check_weight(std::optional<std::uint16_t> weight, const std::string& path,
                  Problems& problems) {
  if (weight && *weight != 0 && (*weight < 10 || *weight > 1000)) {
    problems.add(path, std::to_string(*weight) + " is not in the range 10 to 1000");
  }
}

void check_device_number(std::int64_t number, const std::string& path, Problems& problems) {
  if (number < 0 || number > 0xffffffff) {
    problems.add(path, "invalid device number " + std::to_string(number));
  }
}

void check_block_io(const BlockIoResources& block_io, Problems& problems) {
  const std::string section = "linux.resources.blockIO.";
  check_weight(block_io.weight, section + "weight", problems);
  check_weight(block_io.leaf_weight, section + "leafWeight", problems);
  for (std::size_t i = 0; i < block_io.weight_device.size(); ++i) {
    const WeightDevice& device = block_io.weight_device[i];
    const std::string path = element(section + "weightDevice", i);
    check_device_number(device.major, path + ".major", problems);
    check_device_number(device.minor, path + ".minor", problems);
    check_weight(device.weight, path + ".weight", problems);
    check_weight(device.leaf_weight, path + ".leafWeight", problems);
    if (!device.weight && !device.leaf_weight) {
      problems.add(path, "needs weight, leafWeight or both");
    }
  }
  const std::pair<const char*, const std::vector<ThrottleDevice>*> lists[] = {
      {"throttleReadBpsDevice", &block_io.throttle_read_bps_device},
      {"throttleWriteBpsDevice", &block_io.throttle_write_bps_device},
      {"throttleReadIOPSDevice", &block_io.throttle_read_iops_device},
      {"throttleWriteIOPSDevice", &block_io.throttle_write_iops_device},
  };
  for (const auto& [name, devices] : lists) {
    for (std::size_t i = 0; i < devices->size(); ++i) {
      const std::string path = element(section + name, i);
      check_device_number((*devices)[i].major, path + ".major", problems);
      check_device_number((*devices)[i].minor, path + ".minor", problems);
    }
  }
}

/// Whether `size` has the form "64KB", "2MB", "1GB".
bool is_page_size(std::string_view size) {
  if (size.size() < 3 || size.front() == '0' || size.back() != 'B') {
    return false;
  }
  const std::string_view digits = size.substr(0, size.size() - 2);
  return std::string_view("KMG").find(size[size.size() - 2]) != std::string_view::npos &&
         digits.find_first_not_of("0123456789") == std::string_view::npos;
}

void check_hugepages(const std::vector<HugepageLimit>& limits, Problems& problems) {
  for (std::size_t i = 0; i < limits.size(); ++i) {
    if (!is_page_size(limits[i].page_size)) {
      problems.add(element("linux.resources.hugepageLimits", i, ".pageSize"),
                   "invalid page size " + quoted(limits[i].page_size) +
                       "; write a number and KB, MB or GB, such as \"2MB\"");
    }
  }
}

/// The keys are file names in the container's cgroup directory.
void check_unified(const std::vector<std::pair<std::string, std::string>>& unified,
                   Problems& problems) {
  for (const auto& [file, value] : unified) {
    if (file.find_first_of(std::string_view("/\0", 2)) != std::string::npos ||
        file.find('.') == std::string::npos || file.front() == '.' || file.back() == '.') {
      problems.add(member("linux.resources.unified", file),
                   "unified resource " + quoted(file) +
                       " must be a file name (no slashes) such as \"memory.high\"");
    }
  }
}

}  // namespace

void check_resources(const Resources& resources, Problems& problems) {
  check_device_rules(resources.devices, problems);
  check_memory(resources.memory, problems);
  check_cpu(resources.cpu, problems);
  if (resources.pids_limit && *resources.pids_limit < -1) {
    problems.add("linux.resources.pids.limit", "invalid limit " +
                                                   std::to_string(*resources.pids_limit) +
                                                   "; give a number, or -1 for no limit");
  }
  check_block_io(resources.block_io, problems);
  check_hugepages(resources.hugepage_limits, problems);
  for (const RdmaLimit& limit : resources.rdma) {
    if (limit.device.empty() || limit.device.find_first_of(" \n") != std::string::npos) {
      problems.add(member("linux.resources.rdma", limit.device),
                   "invalid device name; it must not be empty or contain spaces");
    }
    if (!limit.hca_handles && !limit.hca_objects) {
      problems.add(member("linux.resources.rdma", limit.device),
                   "needs hcaHandles, hcaObjects or both");
    }
  }
  check_unified(resources.unified, problems);
}

}  // namespace tare

// Changes the limits of a cgroup in use, and restores the previous ones on failure.

#include <algorithm>
#include <cerrno>
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

/// A field below linux.resources, and whether a change sets it.
struct Mention {
  std::string_view field;
  bool mentioned;
};

template <typename Number>
bool is_set(const std::optional<Number>& value) {
  return value.value_or(0) != 0;
}

/// Whether `changes` affect `field`.
bool mentions(const Resources& changes, std::string_view field) {
  const MemoryResources& memory = changes.memory;
  const CpuResources& cpu = changes.cpu;
  const BlockIoResources& io = changes.block_io;
  const Mention table[] = {
      {"pids.limit", changes.pids_limit.has_value()},
      {"memory.limit", is_set(memory.limit)},
      {"memory.reservation", is_set(memory.reservation)},
      {"memory.swap", is_set(memory.swap)},
      // A cgroup has lost its weight when it ceases to be idle.
      {"cpu.shares", is_set(cpu.shares) || cpu.idle == 0},
      {"cpu.quota", is_set(cpu.quota) || is_set(cpu.period)},
      {"cpu.period", is_set(cpu.period)},
      {"cpu.burst", cpu.burst.has_value()},
      {"cpu.idle", cpu.idle.has_value()},
      {"cpu.cpus", !cpu.cpus.empty()},
      {"cpu.mems", !cpu.mems.empty()},
      {"blockIO.weight", is_set(io.weight)},
      {"blockIO.weightDevice", !io.weight_device.empty()},
      {"blockIO.throttleReadBpsDevice", !io.throttle_read_bps_device.empty()},
      {"blockIO.throttleWriteBpsDevice", !io.throttle_write_bps_device.empty()},
      {"blockIO.throttleReadIOPSDevice", !io.throttle_read_iops_device.empty()},
      {"blockIO.throttleWriteIOPSDevice", !io.throttle_write_iops_device.empty()},
      {"hugepageLimits", !changes.hugepage_limits.empty()},
      {"rdma", !changes.rdma.empty()},
  };
  return std::ranges::any_of(table, [field](const Mention& row) {
    return row.mentioned && field.starts_with(row.field) &&
           (field.size() == row.field.size() || field[row.field.size()] == '[');
  });
}

/// Files with a line for each device.
bool is_keyed(std::string_view file) {
  return file == "io.max" || file == "io.weight" || file == "io.bfq.weight" || file == "rdma.max";
}

bool has_key(const std::vector<std::pair<std::string, std::string>>& unified,
             std::string_view file) {
  return std::ranges::any_of(unified, [file](const auto& each) { return each.first == file; });
}

/// Removes keys of `unified` that the change does not set, but that would undo it, as they are
/// written after the fields.
void drop_overridden(Resources& after, const Resources& changes) {
  Resources fields = after;
  fields.unified.clear();
  for (const CgroupSetting& setting : cgroup_settings(fields)) {
    if (!mentions(changes, setting.field) || is_keyed(setting.file)) {
      continue;
    }
    std::erase_if(after.unified, [&](const auto& each) {
      return (each.first == setting.file || each.first == setting.fallback_file) &&
             !has_key(changes.unified, each.first);
    });
  }
}

bool is_same_rule(const DeviceRule& one, const DeviceRule& other) {
  return one.allow == other.allow && one.type == other.type && one.major == other.major &&
         one.minor == other.minor && one.access == other.access;
}

/// Returns the value that removes a device's limits, for a device that had none before.
std::string without_limits(std::string_view file, std::string_view value) {
  const std::string device(value.substr(0, value.find(' ')));
  if (file == "io.max") {
    return device + " rbps=max wbps=max riops=max wiops=max";
  }
  return device + (file == "rdma.max" ? " hca_handle=max hca_object=max" : " default");
}

/// Restores the previous values when destroyed, unless forget() is called.
class WayBack {
 public:
  explicit WayBack(int directory) : directory_(directory) {}
  WayBack(const WayBack&) = delete;
  WayBack& operator=(const WayBack&) = delete;
  ~WayBack() {
    // Errors are ignored: the first failure is the one to report.
    for (; !steps_.empty(); steps_.pop_back()) {
      const Step& step = steps_.back();
      for_each_part(step.text, '\n', [&](std::string_view line) {
        write_kernel_file(directory_, step.file.c_str(), line);
        return true;
      });
    }
  }

  void remember(const std::string& file, std::string_view value) {
    auto text = file.empty() ? std::nullopt : read_file_if_exists(directory_, file);
    if (text == "\n" && file.starts_with("cpuset.")) {
      // While the cgroup has processes, the kernel does not let the list become empty again.
      text = read_file_if_exists(directory_, file + ".effective");
    }
    if (!text) {
      return;
    }
    steps_.push_back({file, std::move(*text)});
    if (is_keyed(file) && value.find(' ') != std::string_view::npos) {
      steps_.push_back({file, without_limits(file, value)});
    }
  }
  void remember(const CgroupSetting& setting) {
    remember(setting.file, setting.value);
    remember(setting.fallback_file, setting.fallback_value);
  }
  void forget() noexcept { steps_.clear(); }

 private:
  struct Step {
    std::string file;
    std::string text;
  };
  int directory_;
  std::vector<Step> steps_;
};

}  // namespace

ResourcesChange change_of_resources(const Resources& before, const Resources& changes) {
  ResourcesChange change;
  change.after = updated_resources(before, changes);
  drop_overridden(change.after, changes);
  const std::vector<CgroupSetting> present = cgroup_settings(before);
  const auto is_present = [&present](const CgroupSetting& setting) {
    return std::ranges::any_of(present, [&setting](const CgroupSetting& each) {
      return each.file == setting.file && each.value == setting.value;
    });
  };
  for (CgroupSetting& setting : cgroup_settings(change.after)) {
    const bool in_unified = setting.field.starts_with("unified[");
    // A setting derived from two fields (memory.swap, with memory.limit) changes with either.
    if (in_unified ? has_key(changes.unified, setting.file)
                   : mentions(changes, setting.field) || !is_present(setting)) {
      change.settings.push_back(std::move(setting));
    }
  }
  change.devices_before = before.devices;
  change.devices = !std::ranges::equal(before.devices, change.after.devices, is_same_rule);
  return change;
}

void Cgroup::change(const ResourcesChange& change, std::string_view prefix,
                    const std::function<void()>& remember) {
  if (change.settings.empty() && !change.devices) {
    remember();
    return;
  }
  WayBack way_back(required_fd());
  check_memory_in_use(change.after.memory, prefix);
  for (CgroupSetting setting : change.settings) {
    way_back.remember(setting);
    write(setting, prefix);
  }
  if (change.devices) {
    replace_device_filter(change.after.devices);
  }
  try {
    remember();
  } catch (const Error&) {
    if (change.devices) {
      replace_device_filter(change.devices_before);
    }
    throw;
  }
  way_back.forget();
}

}  // namespace tare

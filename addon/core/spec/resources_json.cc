// linux.resources as JSON, and its updates.

#include <algorithm>
#include <utility>

#include "json/json.h"
#include "tare/spec.h"

namespace tare {

namespace {

/// Writes the members that are set.
class Members {
 public:
  explicit Members(json::Writer& writer) : writer_(writer) {}

  void add(std::string_view name, const std::optional<std::int64_t>& value) {
    if (value) {
      writer_.key(name).number(*value);
    }
  }
  void add(std::string_view name, const std::optional<bool>& value) {
    if (value) {
      writer_.key(name).boolean(*value);
    }
  }
  void add(std::string_view name, const std::string& value) {
    if (!value.empty()) {
      writer_.key(name).string(value);
    }
  }
  template <typename Unsigned>
  void add_unsigned(std::string_view name, const std::optional<Unsigned>& value) {
    if (value) {
      writer_.key(name).number_unsigned(*value);
    }
  }

 private:
  json::Writer& writer_;
};

void write_devices(json::Writer& writer, const std::vector<DeviceRule>& rules) {
  writer.key("devices").begin_array();
  for (const DeviceRule& rule : rules) {
    writer.begin_object();
    writer.key("allow").boolean(rule.allow);
    writer.key("type").string(std::string_view(&rule.type, 1));
    Members members(writer);
    members.add("major", rule.major);
    members.add("minor", rule.minor);
    members.add("access", rule.access);
    writer.end_object();
  }
  writer.end_array();
}

void write_memory(json::Writer& writer, const MemoryResources& memory) {
  writer.key("memory").begin_object();
  Members members(writer);
  members.add("limit", memory.limit);
  members.add("reservation", memory.reservation);
  members.add("swap", memory.swap);
  members.add("kernel", memory.kernel);
  members.add("kernelTCP", memory.kernel_tcp);
  members.add_unsigned("swappiness", memory.swappiness);
  members.add("disableOOMKiller", memory.disable_oom_killer);
  members.add("useHierarchy", memory.use_hierarchy);
  members.add("checkBeforeUpdate", memory.check_before_update);
  writer.end_object();
}

void write_cpu(json::Writer& writer, const CpuResources& cpu) {
  writer.key("cpu").begin_object();
  Members members(writer);
  members.add_unsigned("shares", cpu.shares);
  members.add("quota", cpu.quota);
  members.add_unsigned("burst", cpu.burst);
  members.add_unsigned("period", cpu.period);
  members.add("realtimeRuntime", cpu.realtime_runtime);
  members.add_unsigned("realtimePeriod", cpu.realtime_period);
  members.add("cpus", cpu.cpus);
  members.add("mems", cpu.mems);
  members.add("idle", cpu.idle);
  writer.end_object();
}

void write_throttle(json::Writer& writer, std::string_view name,
                    const std::vector<ThrottleDevice>& devices) {
  writer.key(name).begin_array();
  for (const ThrottleDevice& device : devices) {
    writer.begin_object();
    writer.key("major").number(device.major).key("minor").number(device.minor);
    writer.key("rate").number_unsigned(device.rate).end_object();
  }
  writer.end_array();
}

void write_block_io(json::Writer& writer, const BlockIoResources& io) {
  writer.key("blockIO").begin_object();
  Members members(writer);
  members.add_unsigned("weight", io.weight);
  members.add_unsigned("leafWeight", io.leaf_weight);
  writer.key("weightDevice").begin_array();
  for (const WeightDevice& device : io.weight_device) {
    writer.begin_object();
    writer.key("major").number(device.major).key("minor").number(device.minor);
    members.add_unsigned("weight", device.weight);
    members.add_unsigned("leafWeight", device.leaf_weight);
    writer.end_object();
  }
  writer.end_array();
  write_throttle(writer, "throttleReadBpsDevice", io.throttle_read_bps_device);
  write_throttle(writer, "throttleWriteBpsDevice", io.throttle_write_bps_device);
  write_throttle(writer, "throttleReadIOPSDevice", io.throttle_read_iops_device);
  write_throttle(writer, "throttleWriteIOPSDevice", io.throttle_write_iops_device);
  writer.end_object();
}

/// Takes over a value other than zero: engines write zero for "unchanged".
template <typename Number>
void take(std::optional<Number>& into, const std::optional<Number>& change) {
  if (change.value_or(0) != 0) {
    into = change;
  }
}

/// The same for fields where zero is a value.
template <typename Value>
void take_any(std::optional<Value>& into, const std::optional<Value>& change) {
  if (change) {
    into = change;
  }
}

/// Replaces the item with the same key by each of `changes`, or appends it.
template <typename Item, typename Same>
void take_items(std::vector<Item>& into, const std::vector<Item>& changes, Same same) {
  for (const Item& change : changes) {
    // Of several items with the same key, the last one is in effect.
    const auto found = std::find_if(into.rbegin(), into.rend(),
                                    [&](const Item& item) { return same(item, change); });
    if (found != into.rend()) {
      *found = change;
    } else {
      into.push_back(change);
    }
  }
}

void take_memory(MemoryResources& into, const MemoryResources& change) {
  // Unlimited memory implies unlimited memory plus swap (see memory(7) of cgroup v1).
  if (change.limit == -1) {
    into.swap.reset();
  }
  take(into.limit, change.limit);
  take(into.reservation, change.reservation);
  take(into.swap, change.swap);
  take(into.kernel, change.kernel);
  take(into.kernel_tcp, change.kernel_tcp);
  take_any(into.swappiness, change.swappiness);
  take_any(into.disable_oom_killer, change.disable_oom_killer);
  take_any(into.use_hierarchy, change.use_hierarchy);
  // Applies to one update only.
  into.check_before_update = change.check_before_update;
}

void take_cpu(CpuResources& into, const CpuResources& change) {
  take(into.shares, change.shares);
  take(into.quota, change.quota);
  take_any(into.burst, change.burst);
  take(into.period, change.period);
  take(into.realtime_runtime, change.realtime_runtime);
  take(into.realtime_period, change.realtime_period);
  into.cpus = change.cpus.empty() ? into.cpus : change.cpus;
  into.mems = change.mems.empty() ? into.mems : change.mems;
  take_any(into.idle, change.idle);
}

void take_block_io(BlockIoResources& into, const BlockIoResources& change) {
  const auto same_device = [](const auto& one, const auto& other) {
    return one.major == other.major && one.minor == other.minor;
  };
  take(into.weight, change.weight);
  take(into.leaf_weight, change.leaf_weight);
  take_items(into.weight_device, change.weight_device, same_device);
  take_items(into.throttle_read_bps_device, change.throttle_read_bps_device, same_device);
  take_items(into.throttle_write_bps_device, change.throttle_write_bps_device, same_device);
  take_items(into.throttle_read_iops_device, change.throttle_read_iops_device, same_device);
  take_items(into.throttle_write_iops_device, change.throttle_write_iops_device, same_device);
}

}  // namespace

std::string resources_json(const Resources& resources) {
  json::Writer writer;
  writer.begin_object();
  write_devices(writer, resources.devices);
  write_memory(writer, resources.memory);
  write_cpu(writer, resources.cpu);
  writer.key("pids").begin_object();
  Members(writer).add("limit", resources.pids_limit);
  writer.end_object();
  write_block_io(writer, resources.block_io);
  writer.key("hugepageLimits").begin_array();
  for (const HugepageLimit& limit : resources.hugepage_limits) {
    writer.begin_object().key("pageSize").string(limit.page_size);
    writer.key("limit").number_unsigned(limit.limit).end_object();
  }
  writer.end_array();
  writer.key("network").begin_object();
  Members(writer).add_unsigned("classID", resources.network_class_id);
  writer.key("priorities").begin_array();
  for (const NetworkPriority& priority : resources.network_priorities) {
    writer.begin_object().key("name").string(priority.name);
    writer.key("priority").number_unsigned(priority.priority).end_object();
  }
  writer.end_array().end_object();
  writer.key("rdma").begin_object();
  for (const RdmaLimit& limit : resources.rdma) {
    writer.key(limit.device).begin_object();
    Members members(writer);
    members.add_unsigned("hcaHandles", limit.hca_handles);
    members.add_unsigned("hcaObjects", limit.hca_objects);
    writer.end_object();
  }
  writer.end_object();
  writer.key("unified").begin_object();
  for (const auto& [file, value] : resources.unified) {
    writer.key(file).string(value);
  }
  writer.end_object().end_object();
  return writer.take();
}

Resources updated_resources(const Resources& before, const Resources& changes) {
  Resources after = before;
  if (!changes.devices.empty()) {
    // The order of the rules is significant, so rules cannot be added individually.
    after.devices = changes.devices;
  }
  take_memory(after.memory, changes.memory);
  take_cpu(after.cpu, changes.cpu);
  take_any(after.pids_limit, changes.pids_limit);
  take_block_io(after.block_io, changes.block_io);
  take_items(after.hugepage_limits, changes.hugepage_limits,
             [](const auto& one, const auto& other) { return one.page_size == other.page_size; });
  take(after.network_class_id, changes.network_class_id);
  take_items(after.network_priorities, changes.network_priorities,
             [](const auto& one, const auto& other) { return one.name == other.name; });
  take_items(after.rdma, changes.rdma,
             [](const auto& one, const auto& other) { return one.device == other.device; });
  take_items(after.unified, changes.unified,
             [](const auto& one, const auto& other) { return one.first == other.first; });
  return after;
}

}  // namespace tare

// Updates of linux.resources.
#include <algorithm>

#include "tare/spec.h"

namespace tare {

namespace {

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

#include "json/fields.h"
#include "json/json.h"
#include "spec/sections.h"
#include "tare/spec.h"

namespace tare {

using json::Field;
using json::read_fields;
using json::read_member;
using json::required;

namespace {

void read_rule_type(DeviceRule& rule, const json::Value& value) {
  const std::string_view type = value.as_string();
  if (type.empty()) {
    return;
  }
  if (type.size() != 1 || std::string_view("acb").find(type) == std::string_view::npos) {
    json::fail_unknown(value, "device type", {"a", "c", "b"});
  }
  rule.type = type.front();
}

/// Engines write -1 for "all", equivalent to an absent number.
template <std::optional<std::int64_t> DeviceRule::* number>
void read_rule_number(DeviceRule& rule, const json::Value& value) {
  if (const std::int64_t number_value = value.as_int64(); number_value != -1) {
    rule.*number = number_value;
  }
}

constexpr Field<DeviceRule> rule_fields[] = {
    {"allow", read_member<&DeviceRule::allow>, required},
    {"type", read_rule_type},
    {"major", read_rule_number<&DeviceRule::major>},
    {"minor", read_rule_number<&DeviceRule::minor>},
    {"access", read_member<&DeviceRule::access>},
};

constexpr Field<MemoryResources> memory_fields[] = {
    {"limit", read_member<&MemoryResources::limit>},
    {"reservation", read_member<&MemoryResources::reservation>},
    {"swap", read_member<&MemoryResources::swap>},
    {"kernel", read_member<&MemoryResources::kernel>},
    {"kernelTCP", read_member<&MemoryResources::kernel_tcp>},
    {"swappiness", read_member<&MemoryResources::swappiness>},
    {"disableOOMKiller", read_member<&MemoryResources::disable_oom_killer>},
    {"useHierarchy", read_member<&MemoryResources::use_hierarchy>},
    {"checkBeforeUpdate", read_member<&MemoryResources::check_before_update>},
};

constexpr Field<CpuResources> cpu_fields[] = {
    {"shares", read_member<&CpuResources::shares>},
    {"quota", read_member<&CpuResources::quota>},
    {"burst", read_member<&CpuResources::burst>},
    {"period", read_member<&CpuResources::period>},
    {"realtimeRuntime", read_member<&CpuResources::realtime_runtime>},
    {"realtimePeriod", read_member<&CpuResources::realtime_period>},
    {"cpus", read_member<&CpuResources::cpus>},
    {"mems", read_member<&CpuResources::mems>},
    {"idle", read_member<&CpuResources::idle>},
};

constexpr Field<WeightDevice> weight_device_fields[] = {
    {"major", read_member<&WeightDevice::major>, required},
    {"minor", read_member<&WeightDevice::minor>, required},
    {"weight", read_member<&WeightDevice::weight>},
    {"leafWeight", read_member<&WeightDevice::leaf_weight>},
};

constexpr Field<ThrottleDevice> throttle_device_fields[] = {
    {"major", read_member<&ThrottleDevice::major>, required},
    {"minor", read_member<&ThrottleDevice::minor>, required},
    {"rate", read_member<&ThrottleDevice::rate>, required},
};

constexpr Field<BlockIoResources> block_io_fields[] = {
    {"weight", read_member<&BlockIoResources::weight>},
    {"leafWeight", read_member<&BlockIoResources::leaf_weight>},
    {"weightDevice", read_member<&BlockIoResources::weight_device>},
    {"throttleReadBpsDevice", read_member<&BlockIoResources::throttle_read_bps_device>},
    {"throttleWriteBpsDevice", read_member<&BlockIoResources::throttle_write_bps_device>},
    {"throttleReadIOPSDevice", read_member<&BlockIoResources::throttle_read_iops_device>},
    {"throttleWriteIOPSDevice", read_member<&BlockIoResources::throttle_write_iops_device>},
};

constexpr Field<HugepageLimit> hugepage_fields[] = {
    {"pageSize", read_member<&HugepageLimit::page_size>, required},
    {"limit", read_member<&HugepageLimit::limit>, required},
};

constexpr Field<NetworkPriority> priority_fields[] = {
    {"name", read_member<&NetworkPriority::name>, required},
    {"priority", read_member<&NetworkPriority::priority>, required},
};

constexpr Field<RdmaLimit> rdma_fields[] = {
    {"hcaHandles", read_member<&RdmaLimit::hca_handles>},
    {"hcaObjects", read_member<&RdmaLimit::hca_objects>},
};

constexpr Field<Resources> pids_fields[] = {
    {"limit", read_member<&Resources::pids_limit>},
};

constexpr Field<Resources> network_fields[] = {
    {"classID", read_member<&Resources::network_class_id>},
    {"priorities", read_member<&Resources::network_priorities>},
};

void read_pids(Resources& resources, const json::Value& value) {
  read_fields(resources, value, pids_fields);
}

void read_network(Resources& resources, const json::Value& value) {
  read_fields(resources, value, network_fields);
}

/// The key is the device's name.
void read_rdma(Resources& resources, const json::Value& value) {
  json::check_count(value);
  value.for_each_member([&resources](std::string_view device, const json::Value& member) {
    json::check_key(device, member);
    RdmaLimit& limit = resources.rdma.emplace_back();
    limit.device = device;
    read_fields(limit, member, rdma_fields);
  });
}

constexpr Field<Resources> resources_fields[] = {
    {"devices", read_member<&Resources::devices>},
    {"memory", read_member<&Resources::memory>},
    {"cpu", read_member<&Resources::cpu>},
    {"pids", read_pids},
    {"blockIO", read_member<&Resources::block_io>},
    {"hugepageLimits", read_member<&Resources::hugepage_limits>},
    {"network", read_network},
    {"rdma", read_rdma},
    {"unified", read_member<&Resources::unified>},
};

}  // namespace

static void read(DeviceRule& rule, const json::Value& value) {
  read_fields(rule, value, rule_fields);
}
static void read(MemoryResources& memory, const json::Value& value) {
  read_fields(memory, value, memory_fields);
}
static void read(CpuResources& cpu, const json::Value& value) {
  read_fields(cpu, value, cpu_fields);
}
static void read(WeightDevice& device, const json::Value& value) {
  read_fields(device, value, weight_device_fields);
}
static void read(ThrottleDevice& device, const json::Value& value) {
  read_fields(device, value, throttle_device_fields);
}
static void read(BlockIoResources& block_io, const json::Value& value) {
  read_fields(block_io, value, block_io_fields);
}
static void read(HugepageLimit& limit, const json::Value& value) {
  read_fields(limit, value, hugepage_fields);
}
static void read(NetworkPriority& priority, const json::Value& value) {
  read_fields(priority, value, priority_fields);
}

void read(Resources& resources, const json::Value& value) {
  read_fields(resources, value, resources_fields);
}

Resources parse_resources(std::string text, const std::string& name) {
  check_text_size(text, name);
  const json::Document document(std::move(text), name);
  Resources resources;
  read(resources, document.root());
  return resources;
}

}  // namespace tare

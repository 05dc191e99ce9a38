// linux.resources as JSON.
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

}  // namespace tare

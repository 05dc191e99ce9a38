// A container's resource usage, counted by its cgroup, in the format of runc's `events`.

#include <algorithm>

#include "container/impl.h"
#include "json/json.h"
#include "tare/error.h"

namespace tare {

namespace {

/// Writes a number unless it is zero.
void add(json::Writer& writer, std::string_view key, std::uint64_t value) {
  if (value != 0) {
    writer.key(key).number_unsigned(value);
  }
}

void add_pressure(json::Writer& writer, const std::optional<Pressure>& pressure) {
  if (!pressure) {
    return;
  }
  writer.key("psi").begin_object();
  const std::pair<const char*, const PressureTimes*> kinds[] = {{"some", &pressure->some},
                                                                {"full", &pressure->full}};
  for (const auto& [kind, times] : kinds) {
    writer.key(kind).begin_object();
    writer.key("avg10").number_hundredths(times->avg10);
    writer.key("avg60").number_hundredths(times->avg60);
    writer.key("avg300").number_hundredths(times->avg300);
    writer.key("total").number_unsigned(times->total).end_object();
  }
  writer.end_object();
}

void add_cpu(json::Writer& writer, const CpuStats& cpu) {
  writer.key("cpu").begin_object();
  writer.key("usage").begin_object();
  add(writer, "total", cpu.total);
  writer.key("kernel").number_unsigned(cpu.kernel);
  writer.key("user").number_unsigned(cpu.user).end_object();
  if (cpu.periods != 0 || cpu.throttled_periods != 0 || cpu.throttled_time != 0) {
    writer.key("throttling").begin_object();
    add(writer, "periods", cpu.periods);
    add(writer, "throttledPeriods", cpu.throttled_periods);
    add(writer, "throttledTime", cpu.throttled_time);
    writer.end_object();
  }
  add_pressure(writer, cpu.pressure);
  writer.end_object();
}

void add_list(json::Writer& writer, std::string_view key,
              const std::vector<std::uint16_t>& numbers) {
  if (numbers.empty()) {
    return;
  }
  writer.key(key).begin_array();
  for (const std::uint16_t number : numbers) {
    writer.number(number);
  }
  writer.end_array();
}

/// All fields but the two lists are cgroup v1's; readers of this JSON expect them.
void add_cpuset(json::Writer& writer, const CgroupStats& stats) {
  writer.key("cpuset").begin_object();
  add_list(writer, "cpus", stats.cpus);
  writer.key("cpu_exclusive").number(0);
  add_list(writer, "mems", stats.mems);
  for (const char* key : {"mem_hardwall", "mem_exclusive", "memory_migrate", "memory_spread_page",
                          "memory_spread_slab", "memory_pressure", "sched_load_balance",
                          "sched_relax_domain_level"}) {
    writer.key(key).number(0);
  }
  writer.end_object();
}

void add_use(json::Writer& writer, std::string_view key, const MemoryUse& use) {
  if (use.limit == 0 && use.usage == 0 && use.max == 0) {
    return;
  }
  writer.key(key).begin_object();
  writer.key("limit").number_unsigned(use.limit);
  add(writer, "usage", use.usage);
  add(writer, "max", use.max);
  writer.key("failcnt").number(0).end_object();
}

void add_memory(json::Writer& writer, const MemoryStats& memory) {
  writer.key("memory").begin_object();
  add(writer, "cache", memory.cache);
  add_use(writer, "usage", memory.usage);
  add_use(writer, "swap", memory.swap);
  if (!memory.raw.empty()) {
    writer.key("raw").begin_object();
    for (const auto& [key, value] : memory.raw) {
      writer.key(key).number_unsigned(value);
    }
    writer.end_object();
  }
  add_pressure(writer, memory.pressure);
  writer.end_object();
}

void add_io_counts(json::Writer& writer, std::string_view key, const std::vector<IoCount>& counts) {
  if (counts.empty()) {
    return;
  }
  writer.key(key).begin_array();
  for (const IoCount& count : counts) {
    writer.begin_object();
    add(writer, "major", count.major);
    add(writer, "minor", count.minor);
    writer.key("op").string(count.write ? "Write" : "Read");
    add(writer, "value", count.value);
    writer.end_object();
  }
  writer.end_array();
}

}  // namespace

std::string stats_json(const CgroupStats& stats, std::string_view intel_rdt) {
  json::Writer writer;
  writer.begin_object();
  add_cpu(writer, stats.cpu);
  add_cpuset(writer, stats);
  add_memory(writer, stats.memory);
  writer.key("pids").begin_object();
  add(writer, "current", stats.pids);
  add(writer, "limit", stats.pids_limit);
  writer.end_object();
  writer.key("blkio").begin_object();
  add_io_counts(writer, "ioServiceBytesRecursive", stats.io.bytes);
  add_io_counts(writer, "ioServicedRecursive", stats.io.operations);
  add_pressure(writer, stats.io.pressure);
  writer.end_object();
  writer.key("hugetlb").begin_object();
  for (const HugetlbStats& hugetlb : stats.hugetlb) {
    writer.key(hugetlb.page_size).begin_object();
    add(writer, "usage", hugetlb.usage);
    writer.key("failcnt").number_unsigned(hugetlb.failures).end_object();
  }
  writer.end_object();
  writer.key("intel_rdt").json(intel_rdt);
  writer.key("network_interfaces").null();
  writer.end_object();
  return writer.take();
}

CgroupStats Container::stats() const {
  const ErrorContext context("stats of", id());
  CgroupStats stats = impl_->cgroup().stats();
  if (impl_->record.has_reaper) {
    stats.pids -= std::min<std::uint64_t>(stats.pids, 1);
    stats.pids_limit -= std::min<std::uint64_t>(stats.pids_limit, 1);
  }
  return stats;
}

CgroupWatch Container::watch() const {
  const ErrorContext context("events of", id());
  if (impl_->status() == Status::stopped) {
    throw Error(ErrorKind::bad_status, "container with id " + id() + " is not running");
  }
  const Cgroup cgroup = impl_->cgroup();
  if (!cgroup) {
    throw Error(ErrorKind::unsupported,
                "the container has no cgroup, so its resource usage is not counted");
  }
  return CgroupWatch(cgroup.fd());
}

}  // namespace tare

/// \file
/// Resource usage of a container as accounted by its cgroup. See the kernel's
/// Documentation/admin-guide/cgroup-v2.rst and Documentation/accounting/psi.rst.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace tare {

/// Pressure stall information: shares of time in which some, or all, processes were stalled.
struct PressureTimes {
  std::uint32_t avg10 = 0;  ///< hundredths of a percent, as are the others
  std::uint32_t avg60 = 0;
  std::uint32_t avg300 = 0;
  std::uint64_t total = 0;  ///< microseconds
};
struct Pressure {
  PressureTimes some;
  PressureTimes full;
};

struct CpuStats {
  std::uint64_t total = 0;  ///< nanoseconds, as are the others
  std::uint64_t user = 0;
  std::uint64_t kernel = 0;
  std::uint64_t periods = 0;
  std::uint64_t throttled_periods = 0;
  std::uint64_t throttled_time = 0;
  std::optional<Pressure> pressure;  ///< none if the kernel does not report it
};

/// In bytes; `limit` is 2^64-1 if unlimited.
struct MemoryUse {
  std::uint64_t limit = 0;
  std::uint64_t usage = 0;
  std::uint64_t max = 0;  ///< the highest usage; 0 if the kernel does not report it
};

struct MemoryStats {
  std::uint64_t cache = 0;
  MemoryUse usage;
  MemoryUse swap;  ///< memory and swap together, as in cgroup v1; without `max`
  std::vector<std::pair<std::string, std::uint64_t>> raw;  ///< memory.stat, by key
  std::optional<Pressure> pressure;
};

struct IoCount {
  std::uint64_t major = 0;
  std::uint64_t minor = 0;
  bool write = false;
  std::uint64_t value = 0;
};

struct IoStats {
  std::vector<IoCount> bytes;
  std::vector<IoCount> operations;
  std::optional<Pressure> pressure;
};

struct HugetlbStats {
  std::string page_size;       ///< "2MB"
  std::uint64_t usage = 0;     ///< bytes, reserved ones included
  std::uint64_t failures = 0;  ///< allocations that the limit refused
};

/// Usage over the cgroup's lifetime; all of its processes may have ended.
struct CgroupTotals {
  CpuStats cpu;  ///< total, user and kernel alone
  /// Peak memory usage in bytes; none without the memory controller, or before Linux 5.19.
  std::optional<std::uint64_t> peak_memory;
  /// The number of processes killed by the OOM killer; none without the memory controller.
  std::optional<std::uint64_t> oom_kills;
};

/// Values of controllers that the cgroup does not have are zero or empty.
struct CgroupStats {
  CpuStats cpu;
  std::vector<std::uint16_t> cpus;  ///< that its processes may use
  std::vector<std::uint16_t> mems;  ///< memory nodes
  MemoryStats memory;
  std::uint64_t pids = 0;
  std::uint64_t pids_limit = 0;  ///< 0: unlimited
  IoStats io;
  std::vector<HugetlbStats> hugetlb;  ///< by page size
};

}  // namespace tare

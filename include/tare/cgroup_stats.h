/// \file
/// What a container uses, as its cgroup counts it. See the kernel's
/// Documentation/admin-guide/cgroup-v2.rst and Documentation/accounting/psi.rst.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace tare {

/// Pressure stall information: shares of time in which some, or all, processes waited.
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
  std::optional<Pressure> pressure;  ///< none where the kernel does not tell
};

/// Bytes; `limit` is 2^64-1 where there is none.
struct MemoryUse {
  std::uint64_t limit = 0;
  std::uint64_t usage = 0;
  std::uint64_t max = 0;  ///< the highest usage; 0 where the kernel does not tell
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

/// What a cgroup has used from its beginning; all of its processes may have ended.
struct CgroupTotals {
  CpuStats cpu;  ///< total, user and kernel alone
  /// The most memory that it had at one time, in bytes; none without the memory controller, or
  /// before Linux 5.19.
  std::optional<std::uint64_t> peak_memory;
  /// How many of its processes were killed for want of memory; none without the memory controller.
  std::optional<std::uint64_t> oom_kills;
};

/// What belongs to a controller that the cgroup does not have is zero or empty.
struct CgroupStats {
  CpuStats cpu;
  std::vector<std::uint16_t> cpus;  ///< on which its processes may run
  std::vector<std::uint16_t> mems;  ///< memory nodes
  MemoryStats memory;
  std::uint64_t pids = 0;
  std::uint64_t pids_limit = 0;  ///< 0: none
  IoStats io;
  std::vector<HugetlbStats> hugetlb;  ///< by page size
};

}  // namespace tare

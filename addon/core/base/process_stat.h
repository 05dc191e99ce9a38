/// \file
/// What /proc/PID/stat tells of a process, and pidfds of processes that are known by pid and start
/// time: a pid alone may have been reused.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string_view>

#include "tare/fd.h"

namespace tare {

/// The parsed /proc/PID/stat of a process.
struct ProcessStat {
  std::uint64_t start_time = 0;  ///< field 22, clock ticks since boot
  /// The process is in exit(2), with its files closed or about to be, or a zombie. Pid 1 of a
  /// namespace can stay so for long: it waits until all other processes there have ended and been
  /// reaped.
  bool ending = false;
};
/// Returns none if there is no such process.
std::optional<ProcessStat> process_stat(pid_t pid);
/// Parses the text of that file; none if it is malformed.
std::optional<ProcessStat> parse_process_stat(std::string_view text);
/// Returns the start time of a process; 0 if there is no such process.
std::uint64_t start_time_of(pid_t pid);
/// Returns false for a process that is ending, or that has reused the pid.
bool is_alive(pid_t pid, std::uint64_t start_time);
/// Returns a pidfd of `pid` if its start time is still `start_time`; otherwise none. Throws
/// `system`.
Fd open_process(pid_t pid, std::uint64_t start_time);

}  // namespace tare

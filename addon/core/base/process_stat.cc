#include "base/process_stat.h"

#include <fcntl.h>

#include <cerrno>
#include <charconv>
#include <string>

#include "tare/error.h"
#include "tare/pidfd.h"

namespace tare {

std::optional<ProcessStat> process_stat(pid_t pid) {
  const auto text = read_file_if_exists(AT_FDCWD, "/proc/" + std::to_string(pid) + "/stat");
  return text ? parse_process_stat(*text) : std::nullopt;
}

std::optional<ProcessStat> parse_process_stat(std::string_view text) {
  // The name in parentheses may contain any character, so fields are counted from the last
  // parenthesis. See proc_pid_stat(5).
  const std::size_t close = text.rfind(')');
  if (close == std::string::npos || close + 2 >= text.size()) {
    return std::nullopt;
  }
  constexpr int flags_field = 9;
  constexpr int start_field = 22;
  constexpr std::uint32_t exiting = 4;  // PF_EXITING
  std::uint32_t flags = 0;
  ProcessStat stat;
  const char* const end = text.data() + text.size();
  std::size_t at = close + 2;
  for (int field = 3; at < text.size(); ++field) {
    const char* const begin = text.data() + at;
    if (field == flags_field && std::from_chars(begin, end, flags).ec != std::errc()) {
      return std::nullopt;
    }
    if (field == start_field) {
      const char state = text[close + 2];
      stat.ending = state == 'Z' || state == 'X' || (flags & exiting) != 0;
      return std::from_chars(begin, end, stat.start_time).ec == std::errc() ? std::optional(stat)
                                                                            : std::nullopt;
    }
    at = text.find(' ', at);
    at = at == std::string::npos ? at : at + 1;
  }
  return std::nullopt;
}

std::uint64_t start_time_of(pid_t pid) {
  return process_stat(pid).value_or(ProcessStat{}).start_time;
}

bool is_alive(pid_t pid, std::uint64_t start_time) {
  const std::optional<ProcessStat> stat = process_stat(pid);
  return stat.has_value() && stat->start_time == start_time && !stat->ending;
}

Fd open_process(pid_t pid, std::uint64_t start_time) {
  Fd pidfd = open_pidfd(pid);
  if (!pidfd) {
    // The number may belong to a thread now, for which there is no pidfd (EINVAL, ENOENT).
    if (errno != ESRCH && errno != EINVAL && errno != ENOENT) {
      throw_errno("pidfd_open", "process " + std::to_string(pid));
    }
    return pidfd;
  }
  // Read after the pidfd was opened: from then on a reuse of the pid cannot go unnoticed.
  if (!is_alive(pid, start_time)) {
    pidfd.reset();
  }
  return pidfd;
}

}  // namespace tare

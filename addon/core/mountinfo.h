/// \file
/// The text of /proc/PID/mountinfo, proc_pid_mountinfo(5).
#pragma once

#include <functional>
#include <string>
#include <string_view>

namespace tare {

struct MountLine {
  std::string_view id;    ///< as fdinfo has it, proc_pid_fdinfo(5)
  std::string_view root;  ///< of the mount in its file system, as it is in the text
  std::string point;      ///< where it is mounted, with the octal escapes undone
  std::string_view type;  ///< of the file system
};

/// Calls `visit` with each line that is one, until it returns false.
void for_each_mount(std::string_view mountinfo, const std::function<bool(const MountLine&)>& visit);

}  // namespace tare

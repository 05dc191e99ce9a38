/// \file
/// The text of /proc/PID/mountinfo, proc_pid_mountinfo(5).
#pragma once

#include <functional>
#include <string>
#include <string_view>

namespace tare {

struct MountLine {
  std::string_view id;    ///< as in fdinfo, proc_pid_fdinfo(5)
  std::string_view root;  ///< of the mount within its file system, with escapes
  std::string point;      ///< the mount point, with octal escapes decoded
  std::string_view type;  ///< of the file system
};

/// Calls `visit` for each well-formed line until it returns false.
void for_each_mount(std::string_view mountinfo, const std::function<bool(const MountLine&)>& visit);

}  // namespace tare

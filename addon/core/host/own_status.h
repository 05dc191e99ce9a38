// What /proc/self/status tells about this process.
#pragma once

#include <string>
#include <string_view>

namespace tare {

/// Returns the value of `name` in /proc/self/status; empty if that line or /proc is missing. Throws
/// `system`.
std::string own_status(std::string_view name);
/// Whether a seccomp filter applies to this process, inherited from its caller.
bool has_seccomp_filter();

}  // namespace tare

// Causes and remedies for refused user namespaces.
#pragma once

#include <string>
#include <string_view>

namespace tare {

/// Returns the remedy if a user namespace, or a capability in it, was refused with `errnum`: "; …",
/// naming the responsible sysctl. Empty if no known rule of this host is the cause.
std::string user_namespace_remedy(int errnum);

/// Whether a seccomp filter applies to this process, inherited from its caller.
bool has_seccomp_filter();
/// Returns the value of `name` in /proc/self/status; empty if that line or /proc is missing. Throws
/// `system`.
std::string own_status(std::string_view name);

/// Returns the remedy if mount_setattr(2) refused an id-mapped mount; begins with ";".
std::string id_mapping_remedy(int errnum);

/// Returns the remedy if the host has no node of a device to bind; begins with ";".
std::string device_remedy();

}  // namespace tare

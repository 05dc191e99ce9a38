// Why this host refuses user namespaces.
#pragma once

#include <string>
#include <string_view>

namespace tare {

/// What a person can do where a user namespace, or a capability in it, was refused with `errnum`:
/// "; …", naming the sysctl that forbids it. Empty where no rule of this host is known to be the
/// reason.
std::string user_namespace_remedy(int errnum);

/// Whether this process is under a seccomp filter of its caller's.
bool has_seccomp_filter();
/// What /proc/self/status says of `name`; empty where it has no such line, or where there is no
/// /proc. Throws `system`.
std::string own_status(std::string_view name);

/// What can be done where mount_setattr(2) refused an id-mapped mount; begins with ";".
std::string id_mapping_remedy(int errnum);

/// What can be done where the host has no node of a device to bind; begins with ";".
std::string device_remedy();

}  // namespace tare

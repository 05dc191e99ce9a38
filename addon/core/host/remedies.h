// The remedies for what this host refuses, as the last part of an error message.
#pragma once

#include <string>

namespace tare {

/// Returns the remedy if a user namespace, or a capability in it, was refused with `errnum`: "; …",
/// naming the responsible sysctl. Empty if no known rule of this host is the cause.
std::string user_namespace_remedy(int errnum);

/// Returns the remedy if mount_setattr(2) refused an id-mapped mount; begins with ";".
std::string id_mapping_remedy(int errnum);

/// Returns the remedy if clone3(2) refused a cgroup with EBUSY; begins with ";".
std::string busy_cgroup_remedy();

/// Returns the remedy if the host has no node of a device to bind; begins with ";".
std::string device_remedy();

}  // namespace tare

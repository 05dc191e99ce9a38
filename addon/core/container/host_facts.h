// Host facts for the planner, gathered once per operation.
#pragma once

#include <initializer_list>
#include <map>
#include <string>

#include "cgroup/cgroup.h"
#include "tare/container.h"
#include "tare/plan.h"

namespace tare {

/// Whether this process is in another user namespace than the initial one.
bool in_user_namespace();
/// Whether the security module is enabled in the kernel.
bool has_apparmor();
bool has_selinux();
/// Returns the facts that do not depend on a container: ids, cgroup mode.
Host find_host(const std::string& bundle, const CgroupHost& cgroups);
/// Sets whether the security modules for labels are enabled. Throws `unsupported` for labels that
/// this kernel does not support.
void check_labels(Host& host, const Process& process, const ProcessSource& source,
                  const std::string& mount_label);
/// Returns CLONE_NEW* of the running process's namespaces that belong to its user namespace (see
/// ioctl_ns(2)).
std::uint64_t inner_namespaces_of(pid_t pid, std::initializer_list<NamespaceType> types);
/// Returns Host::symlinks. Omits links that cannot be read: the mount then fails with the reason.
std::map<std::size_t, std::string> copied_symlinks(const Spec& spec, const std::string& bundle);
/// Returns Host::device_nodes. Omits nodes that are not found: opening the device's own path then
/// fails with the reason.
std::map<std::string, std::string> device_nodes(const Spec& spec, const Host& host);
/// Calls check_labels and sets the facts for creating a container: user namespace, joined
/// namespaces.
void complete_host(Host& host, const Spec& spec, const Process& process);
/// Whether cgroup permission errors are tolerated.
bool tolerates_permission_errors(const Runtime& runtime, const Host& host);

}  // namespace tare

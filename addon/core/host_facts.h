// What the planner must know of this host; gathered once for each operation.
#pragma once

#include <initializer_list>
#include <map>
#include <string>

#include "tare/cgroup.h"
#include "tare/container.h"
#include "tare/plan.h"

namespace tare {

/// Whether this process is in another user namespace than the initial one.
bool in_user_namespace();
/// Whether these security modules are enabled in the kernel.
bool has_apparmor();
bool has_selinux();
/// Facts that need no container: ids, cgroup mode.
Host find_host(const std::string& bundle, const CgroupHost& cgroups);
/// Whether the security modules that labels ask for are there. Refuses labels that this kernel
/// cannot honour (`unsupported`).
void check_labels(Host& host, const Process& process, const ProcessSource& source,
                  const std::string& mount_label);
/// CLONE_NEW* of those of a running process's namespaces that belong to its user namespace (see
/// ioctl_ns(2)).
std::uint64_t inner_namespaces_of(pid_t pid, std::initializer_list<NamespaceType> types);
/// Host::symlinks. What cannot be read is none: who mounts it says why.
std::map<std::size_t, std::string> copied_symlinks(const Spec& spec, const std::string& bundle);
/// Host::device_nodes. One that is not found is left out: opening the device's own path says why.
std::map<std::string, std::string> device_nodes(const Spec& spec, const Host& host);
/// check_labels, and what making a container depends on: user namespace, joined namespaces.
void complete_host(Host& host, const Spec& spec, const Process& process);
/// Whether permission errors of cgroups are to be borne.
bool tolerates_permission_errors(const Runtime& runtime, const Host& host);

}  // namespace tare

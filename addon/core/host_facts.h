// What the planner must know of this host; gathered once for each operation.
#pragma once

#include <string>

#include "tare/cgroup.h"
#include "tare/container.h"
#include "tare/plan.h"

namespace tare {

/// Facts that need no container: ids, user namespace, cgroup mode.
Host find_host(const std::string& bundle, const CgroupHost& cgroups);
/// Facts that depend on what `spec` and `process` ask for: security modules, joined namespaces.
/// Refuses labels that this kernel cannot honour (`unsupported`).
void complete_host(Host& host, const Spec& spec, const Process& process);
/// Whether permission errors of cgroups are to be borne.
bool tolerates_permission_errors(const Runtime& runtime, const Host& host);

}  // namespace tare

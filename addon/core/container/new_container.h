// What create and restore have in common for a container that is being made.
#pragma once

#include <string>

#include "cgroup/cgroup.h"
#include "container/bundle.h"
#include "host/resctrl/resctrl.h"
#include "state/directory.h"
#include "state/record.h"
#include "tare/fd.h"
#include "tare/plan.h"

namespace tare {

/// Returns the container's record, as far as the bundle determines it.
StateRecord make_record(const Bundle& bundle, const std::string& id, uid_t owner,
                        bool no_new_keyring);
/// Delegates the container's cgroup to the root of its user namespace, if the container has a
/// writable cgroup mount that shows only this cgroup.
void delegate_cgroup(Cgroup& cgroup, const Spec& spec, const Host& host);
/// Limits the depth and number of cgroups below the container's, unless they are limited already.
/// By default the kernel limits neither.
void limit_nesting(Cgroup& cgroup, const Spec& spec);

/// Returns the group of linux.intelRdt in the resctrl file system at `resctrl`, noted in the
/// journal of `dir`.
RdtGroup make_rdt_group(const std::string& resctrl, const Spec& spec, const std::string& id,
                        const StateDir& dir);

/// Connects to the socket that gets init's pidfd: `given` by the caller, else by an annotation;
/// none without either.
Fd connect_pidfd_socket(const std::string& given, const Spec& spec);

}  // namespace tare

// The container that exec starts a process in.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "cgroup/cgroup.h"
#include "spawn/spawn.h"
#include "state/record.h"
#include "tare/error.h"
#include "tare/fd.h"
#include "tare/plan.h"

namespace tare {

/// A container's init and its cgroup at the time of the exec.
struct ExecTarget {
  Fd root;
  Fd pidfd;
  CgroupHost cgroups;
  Cgroup cgroup;        ///< none if the container has none, or it was removed
  bool paused = false;  ///< frozen, and exec goes on all the same
};

/// The error for an exec in a container that has stopped.
Error stopped_error();
/// Opens the container's init and cgroup. Throws `bad_status` if it has stopped, or is paused and
/// `ignore_paused` is not set.
ExecTarget open_exec_target(const StateRecord& record, bool ignore_paused);
/// Returns the sub-cgroup that `--cgroup` names: "[CONTROLLERS:]PATH", where v2 has no controllers.
/// "/" is the container's own.
std::optional<std::string> requested_cgroup(const std::vector<std::string>& given);
/// Sets `target.cgroup` to the cgroup for the new process. `usual` is the cgroup of the container's
/// own processes, relative to the container's.
void choose_cgroup(ExecTarget& target, const StateRecord& record,
                   const std::optional<std::string>& requested, const std::string& usual);
/// Moves init into the container's cgroup after it was set up outside. Born in the cgroup of a
/// paused container, or one that the container freezes meanwhile, it would stop before its first
/// instruction, and with it the thread that clones it.
void enter_cgroup(InitProcess& init, const StateRecord& record, bool may_fall_back,
                  ExecTarget& target);
/// Spawns the process in its cgroup. A cgroup that enables controllers for its children takes no
/// processes (EBUSY): the process then goes to init's cgroup. A process from a login session may
/// not enter a cgroup of a user's systemd manager (EACCES): systemd then moves it.
InitProcess spawn_in_cgroup(const Plan& plan, SpawnOptions& options, const StateRecord& record,
                            bool may_fall_back, ExecTarget& target);

}  // namespace tare

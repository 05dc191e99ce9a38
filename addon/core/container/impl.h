// Declarations that the files of this folder share.
#pragma once

#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "base/process_stat.h"
#include "cgroup/cgroup.h"
#include "container/host_facts.h"
#include "host/resctrl/resctrl.h"
#include "spawn/spawn.h"
#include "state/directory.h"
#include "tare/container.h"

namespace tare {

namespace json {
class Writer;
}

struct Container::Impl {
  Runtime runtime;  ///< root resolved
  StateDir dir;
  StateRecord record;
  std::optional<StartedProcess> init;          ///< until take_init()
  std::shared_ptr<Cancellation> cancellation;  ///< of create(), until that returns; may be null
  Cgroup created_cgroup;  ///< open since create(); none if this object did not create it
  std::once_flag config_read;
  Spec config;  ///< after config_read

  Status status() const;
  /// Reads the record again if it was read while create() was still at work.
  void refresh();
  /// Waits until create() is done with the container: before pivot_root(2) its mount namespace
  /// shows the host, and before init is done its masked paths are readable. Throws `bad_status` if
  /// that cannot be waited for.
  void await_creation();
  ContainerState state() const;
  Cgroup cgroup() const;
  /// The same, for the last use: takes `created_cgroup` if there is one.
  Cgroup take_cgroup();
};

/// The error for a container that does not exist.
Error no_such_container(const std::string& id, const std::string& root);

/// The error for starting a container without a program.
Error no_process();

/// Releases a lock at the end of its scope.
class Unlock {
 public:
  explicit Unlock(StateDir& dir) : dir_(dir) {}
  ~Unlock();
  Unlock(const Unlock&) = delete;
  Unlock& operator=(const Unlock&) = delete;

 private:
  StateDir& dir_;
};

/// Holds a container's lock while it lives. Throws `not_found` if the container was removed in the
/// meantime.
class Locked {
 public:
  Locked(StateDir& dir, const Runtime& runtime);

 private:
  Unlock unlock_;
};

/// Removes the container in `dir`, whose lock the caller holds, and kills its processes. The root
/// of `runtime` is resolved.
void remove_locked(const Runtime& runtime, StateDir dir);
/// Identifies this process, in the format for Journal::note_origin().
std::string this_caller();
/// Raises a limit on processes by one for the reaper: the limit is meant for the other processes.
void make_room_for_reaper(Resources& resources);
/// Returns the pid that a process has in its own pid namespace.
pid_t pid_inside(pid_t pid);
/// Runs poststop hooks. A failed hook is a warning, and the next one runs.
void run_poststop_hooks(const std::vector<Hook>& hooks, const StateRecord& record,
                        const Runtime& runtime);

/// Returns `runtime` with its root filled in.
Runtime resolve_runtime(const Runtime& runtime);
std::string seccomp_cache_dir(const Runtime& runtime);
/// Returns the state for a hook's standard input.
std::string hook_state(const StateRecord& record, Status status, pid_t pid);

/// Returns the state for hooks and seccomp agents: without tare's own fields.
ContainerState spec_state(const StateRecord& record, Status status, pid_t pid);
/// Writes the object of state_json() as the next value.
void write_state(json::Writer& writer, const ContainerState& state, bool full);

/// Passes a warning to the caller, if it wants any.
void warn(const Runtime& runtime, const std::string& text);

/// Returns the filter of `profile`, linux.seccomp; an empty one if there is none.
SeccompFilter container_filter(const std::optional<Seccomp>& profile, const Runtime& runtime);

/// A connection to the agent of linux.seccomp.listenerPath, if the profile needs one.
class SeccompAgent {
 public:
  /// Throws `invalid_argument` if no process listens there. `spec` must outlive this.
  explicit SeccompAgent(const Spec& spec);
  /// Whether there is a connection.
  bool asked() const noexcept { return static_cast<bool>(socket_); }
  /// Sends the seccomp listener of `init` to the agent, with `state` as the container's state. The
  /// other waits of `init` must have been answered. Does nothing if no agent is needed.
  void serve(InitProcess& init, const ContainerState& state);

 private:
  Fd socket_;
  const std::string* metadata_ = nullptr;
};

/// Returns the mount point of resctrl; empty if `spec` has no intelRdt. Throws `unsupported` if it
/// has one and resctrl is not mounted.
std::string required_resctrl(const Spec& spec);
/// Opens the resctrl group of an existing container; none if `spec` has no intelRdt.
RdtGroup container_rdt_group(const Spec& spec, const std::string& id);
/// Removes the directories that were made for the container in resctrl.
void remove_rdt(const StateDir& dir);

/// The init of a container that a plan joins; -1 if it joins none.
struct Joined {
  pid_t pid = -1;
  int pidfd = -1;
  int root = -1;
};
/// Whether this process may have another root than pid 1; true if that is unknown. In a chroot,
/// pivot_root(2) moves the chroot's mount and not the root of the mount namespace.
bool may_be_in_chroot();
/// Opens the files that `plan` passes to init. Returns the descriptors in the plan's order; `owned`
/// owns those opened here.
std::vector<int> open_passed(const Plan& plan, const StateDir* dir, const Joined& container,
                             std::vector<Fd>& owned);
/// Writes `plan` to the debug log before it is executed in `cgroup`.
void log_plan(const Runtime& runtime, const Plan& plan, const std::string& cgroup);
/// Writes to the debug log that `init` was started.
void log_child(const Runtime& runtime, const InitProcess& init);
/// Writes to the debug log on which processors `init` was born.
void log_affinity(const Runtime& runtime, const InitProcess& init);
/// Calls init.finish() and writes to the debug log. `next` and `program` describe what init does
/// when it no longer needs the host.
void finish(const Runtime& runtime, InitProcess& init, const char* next,
            const std::string& program = {});

/// Whether `plan` has a wait with this tag.
bool has_wait(const Plan& plan, wire::WaitTag tag);
/// Whether `plan` has both waits, and `first` comes first.
bool waits_before(const Plan& plan, wire::WaitTag first, wire::WaitTag second);
/// Sets id maps, limits and oom_score_adj of a just spawned init, which needs the host's
/// privileges. Answers the wait for it if `plan` has one.
void grant_host_rights(InitProcess& init, const Plan& plan, const Spec& spec,
                       const Process& process, const ProcessSource& source, const Host& host);
/// Waits for init and sets its scheduling policy and I/O priority, if the plan has a wait for that.
/// Must come after the cgroup's limits: SCHED_DEADLINE requires all processors.
void set_scheduling(InitProcess& init, const Plan& plan, const Process& process,
                    const ProcessSource& source, bool has_cpuset);
/// Lets a container's process run on all processors of its cgroup, whatever the caller's affinity.
/// The mask has more processors than there are: cpuset may get others later.
void reset_affinity(pid_t pid);
/// Binds the calling thread, and the processes it spawns, to a list of processors until the end of
/// a scope; does nothing if the list is empty. `path` names the list in messages.
class ThreadAffinity {
 public:
  ThreadAffinity(const std::string& processors, const std::string& path);
  ~ThreadAffinity();
  ThreadAffinity(const ThreadAffinity&) = delete;
  ThreadAffinity& operator=(const ThreadAffinity&) = delete;
  /// Returns the calling thread's affinity, as "0x3": bit N is processor N.
  static std::string now();

 private:
  std::string before_;  ///< the mask that the thread had
};
/// Whether the container's processes may make cgroups below its own, and freeze them: they have a
/// writable mount of the cgroup tree, or may make one.
bool may_write_cgroups(const Spec& spec);
/// Returns the relative path of the cgroup below the container's that holds its processes; empty:
/// none.
std::string cgroup_below(const Spec& spec, bool has_unit);
/// Throws `invalid_argument` if process.terminal and the console socket contradict each other.
void check_console(const Process& process, const Stdio& stdio, bool caller_takes_console);
/// Calls `prepare` with the pty master, if the process has a terminal, before the answer to the
/// last wait lets the program write to it. Returns whether init has come to that wait.
bool prepare_console(InitProcess& init, const Process& process,
                     const std::function<void(int master)>& prepare);
/// Sends the pty master and the pidfd to the given sockets (-1: none). Returns the pid, and the pty
/// master if it was not sent.
StartedProcess deliver(InitProcess& init, int console_socket, int pidfd_socket);
void write_pid_file(const std::string& path, pid_t pid);
/// Returns the cgroup that a process is in now, which may lie below its container's; empty if it
/// has ended.
std::string cgroup_of(pid_t pid);

}  // namespace tare

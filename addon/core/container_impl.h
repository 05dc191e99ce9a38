// What the container*.cc files share.
#pragma once

#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "host_facts.h"
#include "tare/cgroup.h"
#include "tare/container.h"
#include "tare/resctrl.h"
#include "tare/spawn.h"
#include "tare/state.h"

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
  Cgroup created_cgroup;  ///< open since create(); none where this object did not create it
  std::once_flag config_read;
  Spec config;  ///< after config_read

  Status status() const;
  /// What create() has written since it let go of the lock, which the caller holds now.
  void refresh();
  /// Returns when create() is done with the container: until pivot_root(2) its mount namespace
  /// shows the host, and until init is done what is to be hidden is not. Throws `bad_status` where
  /// that cannot be waited for.
  void await_creation();
  ContainerState state() const;
  Cgroup cgroup() const;
  /// The same, for the last use.
  Cgroup take_cgroup();
  void warn(const std::string& text) const;
};

/// The error for a container that is not there.
Error no_such_container(const std::string& id, const std::string& root);

/// The error for starting what has no program.
Error no_process();

/// Lets go of a lock at the end of its scope.
class Unlock {
 public:
  explicit Unlock(StateDir& dir) : dir_(dir) {}
  ~Unlock();
  Unlock(const Unlock&) = delete;
  Unlock& operator=(const Unlock&) = delete;

 private:
  StateDir& dir_;
};

/// Holds a container's lock while it lives. Throws `not_found` where the container was removed in
/// the meantime.
class Locked {
 public:
  Locked(StateDir& dir, const Runtime& runtime);

 private:
  Unlock unlock_;
};

/// Removes what is in `dir`, whose lock the caller holds, killing what lives of it. The root of
/// `runtime` is resolved.
void remove_locked(const Runtime& runtime, StateDir dir);
/// This process, as StateDir::note_origin() has it.
std::string this_caller();
/// Adds the reaper to the processes that there may be: a limit is meant for the others.
void make_room_for_reaper(Resources& resources);
/// The number that a process has in its own pid namespace.
pid_t pid_inside(pid_t pid);
/// One that fails is warned of, and the next one runs.
void run_poststop_hooks(const std::vector<Hook>& hooks, const StateRecord& record,
                        const Runtime& runtime);

/// A runtime with its root filled in.
Runtime resolve_runtime(const Runtime& runtime);
std::string seccomp_cache_dir(const Runtime& runtime);
/// The state for a hook's standard input.
std::string hook_state(const StateRecord& record, Status status, pid_t pid);

/// The state as it is told to hooks and agents: without what only tare knows of.
ContainerState told_state(const StateRecord& record, Status status, pid_t pid);
/// state_json's object, where a value is due.
void write_state(json::Writer& writer, const ContainerState& state, bool full);

/// The filter of linux.seccomp; an empty one where there is none.
SeccompFilter container_filter(const Spec& spec, const Runtime& runtime);

/// A connection to the agent of linux.seccomp.listenerPath, where the profile needs one.
class SeccompAgent {
 public:
  /// Throws `invalid_argument` where nobody listens. `spec` must outlive this.
  explicit SeccompAgent(const Spec& spec);
  /// Whether the container has one.
  bool asked() const noexcept { return static_cast<bool>(socket_); }
  /// Hands over the listener of `init`, whose other waits must have been answered, with `state` as
  /// that of the container. Does nothing where no agent is needed.
  void serve(InitProcess& init, const ContainerState& state);

 private:
  Fd socket_;
  const std::string* metadata_ = nullptr;
};

/// Where resctrl is mounted; empty where `spec` has no intelRdt. Throws `unsupported` where it has
/// one and nothing is mounted.
std::string required_resctrl(const Spec& spec);
/// The group of an existing container; none where `spec` has no intelRdt.
RdtGroup container_rdt_group(const Spec& spec, const std::string& id);
/// Removes what was made for the container in resctrl.
void remove_rdt(const StateDir& dir);

/// The init of a container that a plan joins; -1 where it joins none.
struct Joined {
  pid_t pid = -1;
  int pidfd = -1;
  int root = -1;
};
/// Whether this process may have another root than pid 1. In a chroot, pivot_root(2) moves the
/// chroot's mount and not the root of the mount namespace, so where it cannot be told it counts as
/// one.
bool may_be_in_chroot();
/// Opens what `plan` wants passed. `owned` keeps the fds; the result is in the plan's order.
std::vector<int> open_passed(const Plan& plan, const StateDir* dir, const Joined& container,
                             std::vector<Fd>& owned);
/// For the debug log: `plan`, before it is carried out in `cgroup`.
void tell_plan(const Runtime& runtime, const Plan& plan, const std::string& cgroup);
/// That `init` is there.
void tell_child(const Runtime& runtime, const InitProcess& init);
/// On which processors it was born.
void tell_affinity(const Runtime& runtime, const InitProcess& init);
/// init.finish(): `next` and `program` are what it does when it needs the host no more.
void finish(const Runtime& runtime, InitProcess& init, const char* next,
            const std::string& program = {});

/// Whether init is to wait for that.
bool has_wait(const Plan& plan, wire::WaitTag tag);
/// Whether it is to wait for both, and for `first` first.
bool waits_before(const Plan& plan, wire::WaitTag first, wire::WaitTag second);
/// Does for a just spawned init what needs the host's own rights: id maps, limits, oom_score_adj.
/// Answers the wait for it if `plan` has one.
void grant_host_rights(InitProcess& init, const Plan& plan, const Spec& spec,
                       const Process& process, const ProcessSource& source, const Host& host);
/// Waits for init where it is to be scheduled in some way, and sees to that. After the cgroup's
/// limits: SCHED_DEADLINE does not go with less than all processors.
void set_scheduling(InitProcess& init, const Plan& plan, const Process& process,
                    const ProcessSource& source, bool has_cpuset);
/// Lets a container's process run on all processors of its cgroup, whatever the caller is bound to.
/// The mask has more processors than there are: cpuset may get others later.
void reset_affinity(pid_t pid);
/// Binds the calling thread, and what it spawns, to a list of processors for the time of a scope;
/// to none where the list is empty. `place` is how messages call it.
class ThreadAffinity {
 public:
  ThreadAffinity(const std::string& processors, const std::string& place);
  ~ThreadAffinity();
  ThreadAffinity(const ThreadAffinity&) = delete;
  ThreadAffinity& operator=(const ThreadAffinity&) = delete;
  /// Where the calling thread may run, as "0x3": bit N is processor N.
  static std::string now();

 private:
  std::string before_;  ///< the mask that the thread had
};
/// Whether its processes may make cgroups below its own, and freeze them: they have a writable
/// mount of the cgroup tree, or the right to make one.
bool may_write_cgroups(const Spec& spec);
/// The cgroup below the container's in which its processes are, by its relative path; empty: none.
std::string cgroup_below(const Spec& spec, bool has_unit);
/// Refuses terminal and console socket that do not fit together.
void check_console(const Process& process, const Stdio& stdio, bool caller_takes_console);
/// Has `prepare` see to the pty, if the process has one, before the answer to the last wait lets
/// the program write to it. True: init has come to that wait.
bool prepare_console(InitProcess& init, const Process& process,
                     const std::function<void(int master)>& prepare);
/// Hands the pty master and the pidfd to who asked for them; what is left is for the caller.
StartedProcess deliver(InitProcess& init, int console_socket, int pidfd_socket);
void write_pid_file(const std::string& path, pid_t pid);
/// The cgroup that a process is in now, which may lie below its container's; empty where it has
/// ended.
std::string cgroup_of(pid_t pid);
/// False where the process has ended.
bool send_signal(int pidfd, pid_t pid, int signal);
void wait_for_end(int pidfd, pid_t pid);
/// False when `most` has passed before; negative: there is no limit.
bool ends_within(int pidfd, pid_t pid, std::chrono::milliseconds most);

}  // namespace tare

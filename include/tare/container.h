/// \file
/// Start here. A container as both front ends see it: create, start, state, kill, delete, exec.
///
/// Every function blocks its calling thread until the work is done and may be called from any
/// thread; calls on one container exclude each other by its lock, between processes too. Errors are
/// `tare::Error` (error.h).
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "tare/cancellation.h"
#include "tare/cgroup_stats.h"
#include "tare/cgroup_watch.h"
#include "tare/checkpoint.h"
#include "tare/error.h"
#include "tare/fd.h"
#include "tare/plan.h"
#include "tare/spec.h"
#include "tare/validate.h"

namespace tare {

class Cgroup;
class Criu;
class StateDir;

/// Where containers are kept and how the host is to be treated.
struct Runtime {
  std::string root;              ///< state directory; empty: default_root()
  bool systemd_cgroup = false;   ///< new containers' cgroups are those of systemd's units
  std::optional<bool> rootless;  ///< tolerate cgroup permission errors; none: where euid is not 0
                                 ///< or in a user namespace
  /// Takes what must be told but is no failure (a poststop hook that failed, an unknown
  /// capability); may be empty.
  std::function<void(const std::string&)> warn;
  /// Takes what helps to find a fault; may be empty.
  std::function<void(const std::string&)> debug;
};

/// /run/tare; for an ordinary user, also as root of a user namespace of his own (USER is not root
/// then), $XDG_RUNTIME_DIR/tare. Where that is not set: /run/user/UID/tare if the user has such a
/// directory, else /tmp/tare-UID.
std::string default_root();

/// Standard streams and further fds of a process. All stay the caller's.
struct Stdio {
  int fds[3] = {0, 1, 2};      ///< -1: /dev/null
  std::vector<int> preserved;  ///< become 3, 4, … in the container
  std::string
      console_socket;  ///< AF_UNIX socket that gets the pty master (process.terminal); may be empty
  std::string pidfd_socket;  ///< AF_UNIX socket that gets the pidfd; may be empty
};

/// Host ids of a configuration that stand for a range of ids which no other container has, where
/// CreateOptions::own_ids is set. The range that they would be is given to no container.
inline constexpr std::uint32_t own_ids_placeholder = 0x7ffd0000;
inline constexpr std::uint32_t own_ids_count = 65536;

struct CreateOptions {
  std::string bundle;  ///< directory with config.json; empty: the working directory
  /// config.json's text; none: it is read from the bundle.
  std::optional<std::string> config;
  /// JSON of its process object, where `config` is an object without that.
  std::optional<std::string> process;
  /// What sound_config() makes of `config`, where that is known.
  std::shared_ptr<const Spec> spec;
  /// For a root that the first mount of `config` makes; null: none.
  std::shared_ptr<const std::vector<RootEntry>> root_entries;
  std::string pid_file;  ///< gets the host pid, written atomically; may be empty
  /// Mappings to `own_ids_placeholder` become mappings to a range of the container's own; what is
  /// kept of the configuration has that.
  bool own_ids = false;
  bool no_pivot = false;
  bool no_new_keyring = false;
  /// The container's process is killed when the calling thread ends, and so when the caller does;
  /// what stays then, remove_orphans() removes.
  bool ends_with_caller = false;
  /// The program is the child of a reaper, pid 1, which makes it an ordinary process. Without a new
  /// pid namespace it is that already, and there is no reaper.
  bool reaper = false;
  bool start_gate = true;  ///< hold before the user's program until start(); false: `run`
  bool allow_terminal_without_socket =
      false;  ///< the caller takes the pty master itself (attached run)
  /// Called with the pty master when the terminal is made and before the program can write to it;
  /// may be empty.
  std::function<void(int master)> prepare_console;
  std::vector<std::string> extra_env;
  /// Stops create() from another thread; none: nothing does.
  std::shared_ptr<Cancellation> cancellation;
  /// sd_notify(3): give the container a socket directory at /run/notify (and NOTIFY_SOCKET) that is
  /// notify_directory() on the host.
  bool notify = false;
  Stdio stdio;
};

enum class Status : std::uint8_t { creating, created, running, paused, stopped };
const char* status_name(Status status) noexcept;

/// The state of runtime.md "State", and what runc's users expect beside it.
struct ContainerState {
  std::string oci_version;
  std::string id;
  Status status = Status::stopped;
  pid_t pid = 0;  ///< 0 when stopped
  std::string bundle;
  std::string rootfs;
  std::string created;  ///< RFC 3339
  uid_t owner = 0;
  std::vector<std::pair<std::string, std::string>> annotations;
};
/// The state as JSON. `full` adds rootfs, created and owner to the spec's fields.
std::string state_json(const ContainerState& state, bool full, int indent = 2);

/// A sample of use in the JSON that `events` prints as `data`.
/// `intel_rdt` is the object of that name, as JSON.
std::string stats_json(const CgroupStats& stats, std::string_view intel_rdt = "{}");

/// Makes the start of the second container of this process, and of all that follow, quicker, for a
/// descriptor that stays open from the first one on. May be called at any time.
void expect_many_containers() noexcept;

/// What a root gets, from JSON: an array of objects with `path`, and `link`, `content` or neither.
std::vector<RootEntry> parse_root_entries(const std::string& text);

/// What the text of a config.json says; none where config_problems() finds something.
std::optional<Spec> sound_config(const std::string& text);
/// Every problem of the text of a config.json; the first one alone where it cannot be read.
std::vector<Problem> config_problems(const std::string& text);

/// The mappings of a user namespace.
struct IdMappings {
  std::vector<IdMapping> uids;
  std::vector<IdMapping> gids;
};
/// For an ordinary user: 0 is the caller, and 1 to 65535, or as many as there are, are the ids that
/// /etc/subuid and /etc/subgid give to it. Throws `unsupported` where they give none.
IdMappings subordinate_mappings();

/// A started process that is a child of the caller.
struct StartedProcess {
  pid_t pid = -1;
  Fd pidfd;
  Fd ending;   ///< of a reaper: for read_program_end()
  Fd console;  ///< the pty master, if the caller takes it itself
};

struct ExecOptions {
  /// The process to run; its capabilities, label and so on default to the container's where empty.
  Process process;
  ProcessSource source;                 ///< of it, for messages
  std::vector<std::string> sub_cgroup;  ///< `--cgroup` as given
  bool ignore_paused = false;
  std::string pid_file;
  bool no_new_keyring =
      false;  ///< keep the caller's session keyring; so too where create() was told that
  bool allow_terminal_without_socket = false;
  std::function<void(int master)> prepare_console;  ///< as in CreateOptions
  std::vector<std::string> extra_env;
  Stdio stdio;
};

/// A process that is being started by Container::begin_exec(). Kills it when destroyed, unless
/// take() was called.
class PendingExec {
 public:
  PendingExec(PendingExec&&) noexcept;
  PendingExec& operator=(PendingExec&&) = delete;
  ~PendingExec();

  /// Goes on with the start as far as it goes. False: `deadline` has come before the process is
  /// executed; there is more to do when fd() is readable. Throws as Container::exec() does, and
  /// then it is over.
  bool advance(std::chrono::steady_clock::time_point deadline);
  /// Owned by this object.
  int fd() const noexcept;
  /// The process, when advance() has returned true. Once.
  StartedProcess take();

 private:
  friend class Container;
  struct Impl;
  explicit PendingExec(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

class Container {
 public:
  /// Creates a container; its program is held until start() unless `start_gate` is false. On
  /// failure nothing stays.
  static Container create(const Runtime& runtime, const std::string& id,
                          const CreateOptions& options);
  /// Brings a container back to life from what checkpoint() has saved: a new one of `id`, made from
  /// the bundle as create() would make it, which runs at once. Of `options`, `start_gate`,
  /// `no_pivot` and what is about a process that has not begun have no meaning. Its prestart and
  /// createRuntime hooks are run. Throws `unsupported` where there is no criu that can do it. On
  /// failure nothing stays.
  static Container restore(const Runtime& runtime, const std::string& id,
                           const CreateOptions& options, const RestoreOptions& from);
  /// Opens an existing container. Throws `not_found`.
  static Container open(const Runtime& runtime, const std::string& id);
  /// The states of all containers of `runtime`, by id.
  static std::vector<ContainerState> list(const Runtime& runtime);
  /// What create() would do, printed: no privilege, no side effect.
  static std::string plan_text(const Runtime& runtime, const CreateOptions& options, bool json);

  Container(Container&&) noexcept;
  Container& operator=(Container&&) noexcept;
  ~Container();

  /// The same container by a descriptor of its own, and so with a lock of its own: for what goes on
  /// beside the calls of this object. Where the container is removed it stays that one, whatever
  /// has its id since. Throws `not_found`.
  Container again() const;

  const std::string& id() const noexcept;
  /// Whether its processes end with its init, as they have a pid namespace of their own.
  bool ends_with_init() const noexcept;
  /// Whether its init is the reaper of its program (CreateOptions::reaper).
  bool has_reaper() const noexcept;
  ContainerState state() const;
  /// Runs startContainer hooks, lets the program go, waits until it is executed, runs poststart
  /// hooks. On failure the container is stopped; where a hook failed it is removed too, and its
  /// poststop hooks are run (runtime.md "Lifecycle").
  void start();
  /// Sends a signal to the container's init; a reaper passes it on to its program. Throws
  /// `bad_status` where it is not running, unless `all` (see runc's `kill --all`: then a stopped
  /// container is fine).
  void kill(int signal, bool all);
  /// Stops every process of a container that is created or running, until resume(). Throws
  /// `bad_status` for another, `system` (ETIMEDOUT) where a process does not stop within 10 s.
  void pause();
  /// Lets the processes of a paused container go on. Throws `bad_status` where it is not paused.
  void resume();
  /// Changes the limits of a container that has not stopped (see `updated_resources`), and
  /// remembers them for the next update. `name` is how errors call `changes`. Where a limit cannot
  /// be set, all are as before.
  void update(const Resources& changes, const std::string& name);
  /// Mounts more in a container that has not stopped: `mounts`, a JSON array as config.json has it,
  /// of bind mounts and tmpfs. Sources are the host's, relative ones from the working directory;
  /// destinations are found below the container's root. `name` is how errors call `mounts`. On
  /// failure none stays; mount points that were made do.
  void add_mounts(const std::string& mounts, const std::string& name);
  /// Takes away what add_mounts() has mounted at the destinations of `mounts`. Throws
  /// `invalid_argument`, before anything is taken away, for a destination where it has mounted
  /// nothing.
  void remove_mounts(const std::string& mounts, const std::string& name);
  /// What the container uses. Throws `unsupported` where it has no cgroup.
  CgroupStats stats() const;
  /// What the container's group in resctrl has and uses, as a JSON object; an empty one where
  /// linux.intelRdt asks for none.
  std::string rdt_stats_json() const;
  /// Writes schemata of that group; empty ones are left alone. Throws `unsupported` where there is
  /// no such group.
  void update_rdt(const std::string& l3_cache_schema, const std::string& mem_bw_schema);
  /// Notice of out-of-memory kills, and of the end of the last process. Throws `bad_status` for a
  /// stopped container.
  CgroupWatch watch() const;
  /// Saves a running or paused container, which then is removed unless it is to live on. Throws
  /// `bad_status` for another, `unsupported` where there is no criu that can do it, or nothing
  /// could be restored. On failure the container goes on.
  void checkpoint(const CheckpointOptions& options);
  /// Removes a stopped container and runs poststop hooks; with `force` kills a running one first.
  void remove(bool force);
  /// remove(true), and what the container has used in all: none where it has no cgroup, or where
  /// somebody else has removed it.
  std::optional<CgroupTotals> end();
  /// Starts a further process in the container, as a child of the caller.
  StartedProcess exec(const ExecOptions& options);
  /// The same for a caller that has no thread to spare: the container's processes may stop the new
  /// one before it is executed, for as long as they like. The fds of `options` may be closed when
  /// this returns; the container must outlive the result, and so must the calling thread, whose
  /// child the process is.
  PendingExec begin_exec(const ExecOptions& options);
  /// Host pids of all processes in the container.
  std::vector<pid_t> processes() const;
  /// The config that the container was created from.
  const Spec& spec() const;
  /// The container's own process, after create() with `start_gate` false or after create() in this
  /// process: its pidfd and pty master. May be taken once.
  StartedProcess take_init();
  /// The host directory that is the container's /run/notify; empty where it was created without
  /// `notify`.
  std::string notify_directory() const;
  /// A pidfd of the container's init, whoever is its parent; throws `bad_status` where it has
  /// ended.
  Fd pidfd() const;

 private:
  struct Impl;
  explicit Container(std::unique_ptr<Impl> impl);
  friend void remove_locked(const Runtime& runtime, StateDir dir);
  /// Kills init where it is not ending yet.
  void end_init();
  /// Removes all of a container whose init has ended, and runs poststop hooks.
  void destroy(Cgroup cgroup);
  /// None, and a warning, where the config cannot be read.
  std::vector<Hook> poststop_hooks() const;
  void dump(const CheckpointOptions& options, Criu& criu);
  /// The rest of `run`: what start() does after the program was let go. A container whose run fails
  /// does not stay.
  void finish_run(const std::vector<Hook>& poststart, bool holds_gate);
  PendingExec begin_exec(const ExecOptions& options, bool may_block);
  PendingExec begin_exec_now(const ExecOptions& options, bool may_block);
  std::unique_ptr<Impl> impl_;
};

/// The error for a container that is not there.
Error no_such_container(const Runtime& runtime, const std::string& id);

/// Removes what is left of a container whose state cannot be read (`delete --force`); false: there
/// was nothing.
bool remove_leftovers(const Runtime& runtime, const std::string& id);

/// Removes the containers that should have ended with their caller, which has died. Those of other
/// pid namespaces than the caller's stay: it cannot tell.
void remove_orphans(const Runtime& runtime);

/// How the program of a reaper ended.
struct ProgramEnd {
  int code = 0;               ///< exit status
  int signal = 0;             ///< that ended it; 0: it exited
  std::uint64_t max_rss = 0;  ///< bytes: the largest resident set of all that the reaper has reaped
};
/// What the reaper has told, once it has ended; none where it was killed. `fd` is
/// StartedProcess::ending.
std::optional<ProgramEnd> read_program_end(int fd) noexcept;

/// Sends a signal to a container's init by its pidfd, which a reaper passes on; false: it has
/// ended. SIGKILL ends init itself. Throws `system`.
bool signal_init(int pidfd, bool has_reaper, int signal);
/// Has a reaper kill its program, and then all others, so that it can tell what they have used. It
/// may not be able to, as when it is frozen; false: it has ended. Throws `system`.
bool kill_by_reaper(int pidfd);

/// Reaps a child of this process, which has been killed, when that is possible: a process of its
/// container may trace it, and then is the first that may wait for it (ptrace(2)). Until it is
/// reaped, its pid namespace does not end. Called from any thread.
using LateReaper = void (*)(Fd pidfd) noexcept;
/// By default such a child is left to who reaps this process's children when it ends.
void set_late_reaper(LateReaper reaper) noexcept;

/// Waits for a child by its pidfd and reaps it: exit status, or 128 + signal.
int wait_exit_code(int pidfd);

/// The JSON that `features` prints (features.md).
std::string features();
/// What this speaks and is made of, a line each: "spec: 1.3.0", "libseccomp: 2.5.4".
std::string version_details();

}  // namespace tare

/// \file
/// Start here. A container as both front ends see it: create, start, state, kill, delete, exec.
///
/// Every function blocks its calling thread until the work is done and may be called from any
/// thread; a lock per container serializes the calls on it, between processes too. Errors are
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

/// Where containers are stored and how the host is used.
struct Runtime {
  std::string root;              ///< state directory; empty: default_root()
  bool systemd_cgroup = false;   ///< new containers use the cgroups of systemd units
  std::optional<bool> rootless;  ///< tolerate cgroup permission errors; none: if euid is not 0 or
                                 ///< in a user namespace
  /// Receives warnings (a failed poststop hook, an unknown capability); may be empty.
  std::function<void(const std::string&)> warn;
  /// Receives debug messages; may be empty.
  std::function<void(const std::string&)> debug;
};

/// Returns /run/tare; for an ordinary user, including root of the user's own user namespace (where
/// USER is not root), $XDG_RUNTIME_DIR/tare. If that variable is not set: /run/user/UID/tare if the
/// user has such a directory, else /tmp/tare-UID.
std::string default_root();

/// Standard streams and further fds of a process. The caller keeps ownership of all fds.
struct Stdio {
  int fds[3] = {0, 1, 2};      ///< -1: /dev/null
  std::vector<int> preserved;  ///< become 3, 4, … in the container
  std::string
      console_socket;  ///< AF_UNIX socket that gets the pty master (process.terminal); may be empty
  std::string pidfd_socket;  ///< AF_UNIX socket that gets the pidfd; may be empty
};

/// With CreateOptions::own_ids, host ids in a configuration that stand for a range of ids that no
/// other container has. The range that they would name literally is never assigned.
inline constexpr std::uint32_t own_ids_placeholder = 0x7ffd0000;
inline constexpr std::uint32_t own_ids_count = 65536;

/// What differs between containers of one prepare_config().
struct Command {
  std::vector<std::string> args;
  std::vector<std::string> env;
  std::string cwd;
};

class PreparedConfig;
/// Prepares the start of many containers that differ only in their command: what they have in
/// common is parsed, validated and compiled at the first start, and kept. The host is examined at
/// each start. Throws nothing: create() throws the errors of the configuration.
///
/// `config` is the text of config.json without its process, and `process` that process without
/// args, env and cwd; if `process` is empty, `config` is complete and parsed at each start.
/// `root_entries` is a text for parse_root_entries(); empty: none.
std::shared_ptr<PreparedConfig> prepare_config(std::string bundle, std::string config,
                                               std::string process,
                                               const std::string& root_entries);

struct CreateOptions {
  std::string bundle;  ///< directory with config.json; empty: the working directory
  /// config.json's text; none: it is read from the bundle.
  std::optional<std::string> config;
  /// Instead of `bundle`, `config` and `root_entries`, and not with `no_pivot` or `notify`; may be
  /// null.
  std::shared_ptr<PreparedConfig> prepared;
  Command command;  ///< with `prepared`
  /// For a root that the first mount of `config` provides; null: none.
  std::shared_ptr<const std::vector<RootEntry>> root_entries;
  std::string pid_file;  ///< gets the host pid, written atomically; may be empty
  /// Replaces mappings to `own_ids_placeholder` by mappings to a range of the container's own; the
  /// stored configuration contains the replacement.
  bool own_ids = false;
  bool no_pivot = false;
  bool no_new_keyring = false;
  /// Kills the container's process when the calling thread, and so the caller, ends;
  /// remove_orphans() removes the rest.
  bool ends_with_caller = false;
  /// Runs the program as a child of a reaper, pid 1, so that the program is an ordinary process.
  /// Without a new pid namespace the program is not pid 1 anyway, and there is no reaper.
  bool reaper = false;
  bool start_gate = true;  ///< hold before the user's program until start(); false: `run`
  bool allow_terminal_without_socket =
      false;  ///< the caller takes the pty master itself (attached run)
  /// Called with the pty master when the terminal is made, before the program can write to it; may
  /// be empty.
  std::function<void(int master)> prepare_console;
  std::vector<std::string> extra_env;
  /// Cancels create() from another thread; none: not cancellable.
  std::shared_ptr<Cancellation> cancellation;
  /// sd_notify(3): gives the container a socket directory at /run/notify (and NOTIFY_SOCKET), which
  /// is notify_directory() on the host.
  bool notify = false;
  Stdio stdio;
};

enum class Status : std::uint8_t { creating, created, running, paused, stopped };
const char* status_name(Status status) noexcept;

/// The state of runtime.md "State", with the additional fields of runc.
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
/// Returns the state as JSON. `full` adds rootfs, created and owner to the spec's fields.
std::string state_json(const ContainerState& state, bool full, int indent = 2);

/// Returns a usage sample as the JSON that `events` prints as `data`. `intel_rdt` is the object of
/// that name, as JSON.
std::string stats_json(const CgroupStats& stats, std::string_view intel_rdt = "{}");

/// Speeds up the start of the second and all further containers of this process, at the cost of one
/// descriptor that stays open from the first start on. May be called at any time.
void expect_many_containers() noexcept;

/// Parses the entries of a root from JSON: an array of objects with `path`, and `link`, `content`
/// or neither.
std::vector<RootEntry> parse_root_entries(const std::string& text);

/// Returns every problem of the text of a config.json; only the first one if it cannot be parsed.
std::vector<Problem> config_problems(const std::string& text);

/// The mappings of a user namespace.
struct IdMappings {
  std::vector<IdMapping> uids;
  std::vector<IdMapping> gids;
};
/// Returns mappings for an ordinary user: 0 is the caller; 1 to 65535, or as many as available, are
/// the caller's ids in /etc/subuid and /etc/subgid. Throws `unsupported` if there are none.
IdMappings subordinate_mappings();

/// A started process that is a child of the caller.
struct StartedProcess {
  pid_t pid = -1;
  Fd pidfd;
  Fd ending;   ///< of a reaper, for read_program_end()
  Fd console;  ///< the pty master, if the caller takes it itself
};

struct ExecOptions {
  /// The process to run; capabilities, label and similar fields default to the container's if
  /// empty.
  Process process;
  ProcessSource source;                 ///< of the process, for messages
  std::vector<std::string> sub_cgroup;  ///< `--cgroup` arguments
  bool ignore_paused = false;
  std::string pid_file;
  bool no_new_keyring =
      false;  ///< keep the caller's session keyring; also if create() had this option
  bool allow_terminal_without_socket = false;
  std::function<void(int master)> prepare_console;  ///< as in CreateOptions
  std::vector<std::string> extra_env;
  Stdio stdio;
};

/// A process that Container::begin_exec() is starting. Kills it on destruction unless take() was
/// called.
class PendingExec {
 public:
  PendingExec(PendingExec&&) noexcept;
  PendingExec& operator=(PendingExec&&) = delete;
  ~PendingExec();

  /// Continues the start without blocking past `deadline`. Returns false if `deadline` passes
  /// before the process is executed; call again when fd() is readable. Throws as Container::exec()
  /// does, which ends the start.
  bool advance(std::chrono::steady_clock::time_point deadline);
  /// Owned by this object.
  int fd() const noexcept;
  /// Returns the process after advance() has returned true. May be called once.
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
  /// Restores a container from the images of checkpoint(): a new container `id`, made from the
  /// bundle as by create(), that runs at once. Ignores `start_gate`, `no_pivot` and other members
  /// of `options` that concern a process that has not begun. Runs prestart and createRuntime hooks.
  /// Throws `unsupported` without a suitable criu. On failure nothing stays.
  static Container restore(const Runtime& runtime, const std::string& id,
                           const CreateOptions& options, const RestoreOptions& from);
  /// Opens an existing container. Throws `not_found`.
  static Container open(const Runtime& runtime, const std::string& id);
  /// Returns the states of all containers of `runtime`, by id.
  static std::vector<ContainerState> list(const Runtime& runtime);
  /// Returns a printed plan of what create() would do; needs no privilege and has no side effect.
  static std::string plan_text(const Runtime& runtime, const CreateOptions& options, bool json);

  Container(Container&&) noexcept;
  Container& operator=(Container&&) noexcept;
  ~Container();

  /// Opens the same container a second time with its own descriptor and so its own lock, for work
  /// beside the calls of this object. The result refers to the same container even if that is
  /// removed and its id reused. Throws `not_found`.
  Container reopen() const;

  const std::string& id() const noexcept;
  /// Whether its processes end with its init, because they have their own pid namespace.
  bool ends_with_init() const noexcept;
  /// Whether its init is the reaper of its program (CreateOptions::reaper).
  bool has_reaper() const noexcept;
  ContainerState state() const;
  /// Runs startContainer hooks, releases the program, waits until it is executed, runs poststart
  /// hooks. On failure the container is stopped; if a hook failed, it is also removed and its
  /// poststop hooks run (runtime.md "Lifecycle").
  void start();
  /// Sends a signal to the container's init; a reaper forwards it to its program. Throws
  /// `bad_status` if init is not running, unless `all` is set (as runc's `kill --all`, which
  /// accepts a stopped container).
  void kill(int signal, bool all);
  /// Freezes all processes of a created or running container until resume(). Throws `bad_status` in
  /// another status, `system` (ETIMEDOUT) if a process does not freeze within 10 s.
  void pause();
  /// Thaws a paused container. Throws `bad_status` if it is not paused.
  void resume();
  /// Changes the limits of a container that is not stopped (see `updated_resources`), and records
  /// them for the next update. `name` denotes `changes` in errors. If a limit cannot be set,
  /// restores all.
  void update(const Resources& changes, const std::string& name);
  /// Adds mounts to a container that is not stopped. `mounts` is a JSON array as in config.json, of
  /// bind mounts and tmpfs. Sources are host paths, relative ones from the working directory;
  /// destinations are below the container's root. `name` denotes `mounts` in errors. On failure no
  /// mount stays; created mount points do.
  void add_mounts(const std::string& mounts, const std::string& name);
  /// Removes the mounts that add_mounts() made at the destinations of `mounts`. Throws
  /// `invalid_argument`, before removing any, for a destination without such a mount.
  void remove_mounts(const std::string& mounts, const std::string& name);
  /// Returns the resource usage. Throws `unsupported` if the container has no cgroup.
  CgroupStats stats() const;
  /// Returns the allocation and usage of the container's resctrl group as a JSON object; an empty
  /// one without linux.intelRdt.
  std::string rdt_stats_json() const;
  /// Writes schemata of that group; empty arguments are skipped. Throws `unsupported` without such
  /// a group.
  void update_rdt(const std::string& l3_cache_schema, const std::string& mem_bw_schema);
  /// Watches for OOM kills and the end of the last process. Throws `bad_status` for a stopped
  /// container.
  CgroupWatch watch() const;
  /// Saves a running or paused container, then removes it unless it is to keep running. Throws
  /// `bad_status` in another status, `unsupported` without a suitable criu or if the images could
  /// not be restored. On failure the container continues.
  void checkpoint(const CheckpointOptions& options);
  /// Removes a stopped container and runs poststop hooks; with `force` kills a running one first.
  void remove(bool force);
  /// Does remove(true) and returns the container's total usage: none without a cgroup, or if
  /// another process has removed the container.
  std::optional<CgroupTotals> end();
  /// Starts a further process in the container, as a child of the caller.
  StartedProcess exec(const ExecOptions& options);
  /// Starts a process as exec() does, without blocking the calling thread: the container's
  /// processes may stop the new one for any time before it is executed. The fds of `options` may be
  /// closed after this returns; the container and the calling thread, the parent of the process,
  /// must outlive the result.
  PendingExec begin_exec(const ExecOptions& options);
  /// Returns the host pids of all processes in the container.
  std::vector<pid_t> processes() const;
  /// The config that the container was created from.
  const Spec& spec() const;
  /// Returns the container's own process, its pidfd and pty master, after create() in this process.
  /// May be called once.
  StartedProcess take_init();
  /// The host directory of the container's /run/notify; empty if it was created without `notify`.
  std::string notify_directory() const;
  /// Returns a pidfd of the container's init, which need not be a child of the caller; throws
  /// `bad_status` if init has ended.
  Fd pidfd() const;

 private:
  struct Impl;
  explicit Container(std::unique_ptr<Impl> impl);
  friend void remove_locked(const Runtime& runtime, StateDir dir);
  /// Kills init unless it is already ending.
  void end_init();
  /// Removes everything of a container whose init has ended, and runs poststop hooks.
  void destroy(Cgroup cgroup);
  /// Returns none, with a warning, if the config cannot be read.
  std::vector<Hook> poststop_hooks() const;
  void dump(const CheckpointOptions& options, Criu& criu);
  /// Does the rest of `run`: the part of start() after the release of the program. Removes the
  /// container on failure.
  void finish_run(const std::vector<Hook>& poststart, bool holds_gate);
  PendingExec begin_exec(const ExecOptions& options, bool may_block);
  PendingExec begin_exec_now(const ExecOptions& options, bool may_block);
  std::unique_ptr<Impl> impl_;
};

/// The error for a nonexistent container.
Error no_such_container(const Runtime& runtime, const std::string& id);

/// Removes the remains of a container whose state cannot be read (`delete --force`). Returns false
/// if there are none.
bool remove_leftovers(const Runtime& runtime, const std::string& id);

/// Removes the containers that should have ended with their caller, if the caller is dead. Skips
/// callers of other pid namespaces, whose liveness cannot be determined.
void remove_orphans(const Runtime& runtime);

/// How the program of a reaper ended.
struct ProgramEnd {
  int code = 0;               ///< exit status
  int signal = 0;             ///< that terminated it; 0: it exited
  std::uint64_t max_rss = 0;  ///< bytes: the largest resident set of all reaped processes
};
/// Returns what an ended reaper has reported; none if it was killed. `fd` is
/// StartedProcess::ending.
std::optional<ProgramEnd> read_program_end(int fd) noexcept;

/// Sends a signal to a container's init by its pidfd; a reaper forwards it. SIGKILL ends init
/// itself. Returns false if init has ended. Throws `system`.
bool signal_init(int pidfd, bool has_reaper, int signal);
/// Makes a reaper kill its program and then all other processes, so that it can report their usage.
/// A reaper may be unable to, e.g. while frozen. Returns false if it has ended. Throws `system`.
bool kill_by_reaper(int pidfd);

/// Reaps a killed child of this process as soon as possible: a process of its container may trace
/// it, and a tracer is the first to wait for it (ptrace(2)). The child's pid namespace does not end
/// before. Called from any thread.
using LateReaper = void (*)(Fd pidfd) noexcept;
/// By default such a child is reaped while this process waits for the end of its container, or by
/// the process that inherits it.
void set_late_reaper(LateReaper reaper) noexcept;

/// Returns the JSON that `features` prints (features.md).
std::string features();
/// Returns spec and library versions, one per line: "spec: 1.3.0", "libseccomp: 2.5.4".
std::string version_details();

}  // namespace tare

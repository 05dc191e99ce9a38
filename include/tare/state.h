/// \file
/// What is kept of a container between calls: ROOT/ID/ with state.json (written atomically),
/// config.json as it was at create, a lock, and the FIFO of the start gate. Directories 0700,
/// files 0600.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tare/cancellation.h"
#include "tare/fd.h"
#include "tare/wire.h"

namespace tare {

/// The record of one container.
struct StateRecord {
  std::string id;
  std::string bundle;         ///< absolute
  std::string rootfs;         ///< absolute
  std::string created;        ///< RFC 3339, UTC, nanoseconds
  std::string cgroup_path;    ///< relative to the cgroup2 mount; empty: none
  std::string systemd_unit;   ///< whose cgroup it is; empty: none
  bool systemd_user = false;  ///< that unit is the owner's manager's, not the system's
  pid_t pid = 0;              ///< in the caller's pid namespace; 0 while it is being created
  std::uint64_t start_time =
      0;  ///< field 22 of /proc/PID/stat, so that a reused pid is not taken for ours
  uid_t owner = 0;
  std::string oci_version;
  std::vector<std::pair<std::string, std::string>> annotations;
  bool mounts_on_host = false;  ///< see StateDir::noted_root
  bool has_process = true;      ///< what config.json leaves open until start is there
  bool has_hooks =
      false;  ///< startContainer, poststart or poststop: start and delete need the config
  bool has_rdt = false;  ///< see StateDir::noted_rdt
  /// Its create() is at its hooks, or died there; with `has_hooks`: is not done with it.
  bool creating = false;
  bool own_pid_namespace = false;  ///< its processes end with its init
  bool has_reaper = false;         ///< its init is the reaper of its program
  bool no_new_keyring = false;     ///< it was created with the caller's session keyring
  /// criu(8) has brought it back in a time namespace, whatever config.json says, for its clocks to
  /// go on where they were.
  bool in_time_namespace = false;
  std::uint32_t first_own_id = 0;  ///< of the range that was taken for it; 0: none
};

/// Why nothing can be kept in `root` safely, because of others; empty where nothing speaks against
/// it, or it is absent. Others may read the names in it: directories of containers are 0700.
std::string state_root_problem(const std::string& root);

/// Whether a cgroup's path stays in the tree: what is kept may have been changed.
bool is_cgroup_path(const std::string& path);
/// The text of state.json.
std::string record_text(const StateRecord& record);
/// Reads it. `name` is how errors call the text. Throws `invalid_config` for what is no record, or
/// another container's than `id`'s.
StateRecord parse_record(std::string text, const std::string& name, const std::string& id);

/// Where the root of a container without a mount namespace is mounted; mounts by their numbers
/// (statx(2)).
struct RootMount {
  std::string path;          ///< absolute
  std::uint64_t before = 0;  ///< what `path` led to before the container was made
  std::uint64_t own = 0;     ///< what was made for the container; 0: create() has not come so far
};

/// What init answered at the start gate.
struct StartAnswer {
  bool failed = false;
  wire::StartFailure failure;
};

/// The directory of one container, open.
class StateDir {
 public:
  StateDir() = default;

  /// Makes ROOT (0700) if absent, and ROOT/ID; throws `already_exists` if that is there, and
  /// `invalid_argument` for a ROOT with a state_root_problem(). Locked exclusively. `bad_status`
  /// where others were quicker than the lock to remove it, many times.
  static StateDir create(const std::string& root, const std::string& id);
  /// Opens ROOT/ID; none where there is no such container. Throws `invalid_argument` for a bad id,
  /// `bad_status` where something else than a directory has that name.
  static std::optional<StateDir> open(const std::string& root, const std::string& id);
  /// Removes what else than a directory is ROOT/ID, and not what a symlink leads to; false: there
  /// was nothing.
  static bool remove_stray(const std::string& root, const std::string& id);
  /// Ids below ROOT, sorted; empty where ROOT is absent.
  static std::vector<std::string> list(const std::string& root);

  /// The same directory, opened once more. Throws `system`.
  StateDir again() const;

  int fd() const noexcept { return dir_.get(); }
  const std::string& id() const noexcept { return id_; }
  /// ROOT/ID, for messages.
  std::string path() const { return root_ + "/" + id_; }

  /// flock(2) on the directory, waits for others; held until this object ends. False: meanwhile the
  /// directory was removed, and ROOT/ID, where that is there, is another container.
  bool lock();
  /// The same, at once: false also where somebody else has the lock.
  bool try_lock();
  /// The same as lock(), but it does not wait for ever: who has been awaited by the lock's holder
  /// (see Awaited) for `patience` is killed.
  bool lock_by_force(std::chrono::milliseconds patience);
  /// False: the directory was removed.
  bool exists() const;
  void unlock() noexcept;
  void write(const StateRecord& record);
  /// None where state.json is absent (a create that has not come so far, or died).
  std::optional<StateRecord> read() const;
  /// Whether the record there is another container's: then what is noted beside it is, too.
  bool is_anothers() const;
  void write_config(std::string_view config);
  /// None where the container was removed meanwhile.
  std::optional<std::string> read_config() const;
  /// Whether create() has come so far that it has written the config, if not all of it. Until then
  /// it has started nothing that outlives it.
  bool has_config() const;
  /// linux.resources as updates have made it; none where there was no update.
  void write_resources(std::string_view resources);
  std::optional<std::string> read_resources() const;

  /// The mounts that were added since create(), as JSON; none where there was none.
  void write_added_mounts(std::string_view mounts);
  std::optional<std::string> read_added_mounts() const;

  /// Remembers the container's cgroup before it is made: state.json comes late in create(), which
  /// may die. That it is the container's, and nobody else's, is not known before `has_config`.
  /// With it the process that the container is to end with; none where `caller` is empty.
  void note_origin(const std::string& caller, const std::string& cgroup);
  /// No cgroup was made.
  void forget_cgroup();
  /// What was noted; empty where nothing was.
  std::string noted_cgroup() const;
  std::string noted_caller() const;
  /// Remembers a directory of resctrl that is to be removed with the container, before it is made.
  void note_rdt(const std::string& directory);
  /// The last one was not made.
  void forget_rdt();
  /// The last one first.
  std::vector<std::string> noted_rdt() const;
  /// Notes, before anything is mounted there, the root of a container without a mount namespace and
  /// the mount that this path leads to.
  void note_root(const RootMount& before);
  /// Notes the mount that was made for it.
  void note_root_mount(std::uint64_t mount);
  std::optional<RootMount> noted_root() const;

  /// Notes the process whose end is awaited by this one, which has the lock, in place of the last
  /// one.
  void note_awaited(pid_t pid);
  void forget_awaited() noexcept;
  /// Kills the one that is noted, if that is still the same process.
  void kill_awaited() const;

  /// Makes the directory that becomes the container's /run/notify; its path.
  std::string make_notify_directory();
  /// Makes the FIFO of the start gate.
  void make_start_gate();
  /// Opens it for init, locks it (flock(2)) and fills it: init waits in write(2) until somebody
  /// reads.
  Fd open_start_gate() const;
  /// Whether init holds the gate: asked of the kernel (its lock on the FIFO), not remembered.
  bool start_gate_held() const;
  /// Lets init pass the gate, be it barred or not, and waits until it has executed the user's
  /// program, or failed, or ended. Throws `bad_status` where init does not hold it.
  StartAnswer pass_start_gate();
  /// Takes the gate's FIFO out of sight, so that nobody passes the gate of a paused
  /// container and waits in vain. Nothing happens where init does not hold the gate.
  void bar_start_gate();
  bool start_gate_barred() const noexcept;
  /// Undoes that; nothing happens where it was not barred.
  void unbar_start_gate() const noexcept;
  /// Removes the FIFO: nobody can start this container any more.
  void close_start_gate();
  /// Removes the directory and all in it; gone already is no error.
  void remove();
  /// Removes what nobody has locked and has nothing in it: somebody was killed who had just made
  /// it, or had all but removed it. False where it is none of that.
  bool remove_if_empty();

 private:
  /// Makes the directory for create().
  void make() const;
  /// Opens and locks it. False where it was removed meanwhile.
  bool take();
  /// The gate's FIFO, for reading; none where init does not hold the gate.
  std::optional<Fd> open_held_gate() const;

  Fd dir_;
  std::string root_;
  std::string id_;
};

/// Whom a command awaits with a container's lock in its hand, and nobody says for how long: a hook,
/// or criu that serves lazy pages. `delete --force` kills it then, rather than wait for ever. The
/// note of it goes when this object does.
class Awaited {
 public:
  /// `cancellation` kills it too; may be null.
  explicit Awaited(StateDir& dir, Cancellation* cancellation = nullptr)
      : dir_(dir), cancellation_(cancellation) {}
  ~Awaited();
  Awaited(const Awaited&) = delete;
  Awaited& operator=(const Awaited&) = delete;

  /// `pid` has been started, a child of this process that is not reaped yet. Without a note of it,
  /// be the disk full, it is merely not killed.
  void started(pid_t pid) noexcept;
  /// The same as a function.
  std::function<void(pid_t)> note();

 private:
  StateDir& dir_;
  Cancellation* cancellation_;
  bool noted_ = false;
};

/// What /proc/PID/stat says of a process.
struct ProcessStat {
  std::uint64_t start_time = 0;  ///< field 22, clock ticks since boot
  /// It is in exit(2), with its files closed or about to be, or a zombie. Pid 1 of a namespace may
  /// be so for long: it waits until all others there have ended and were reaped.
  bool ending = false;
};
/// None: no such process.
std::optional<ProcessStat> process_stat(pid_t pid);
/// The same of the text of that file; none where it is no such text.
std::optional<ProcessStat> parse_process_stat(std::string_view text);
/// False for a process that is ending, or has the number only since.
bool is_alive(const std::optional<ProcessStat>& stat, std::uint64_t start_time);
/// A pidfd of `pid` if that is still the process that started at `start_time`; else none. Throws
/// `system`.
Fd open_process(pid_t pid, std::uint64_t start_time);

}  // namespace tare

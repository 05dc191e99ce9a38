/// \file
/// The state of a container that persists between calls: ROOT/ID/ with state.json (written
/// atomically), config.json as of create, a lock, and the FIFO of the start gate. Directories 0700,
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
  std::string bundle;            ///< absolute
  std::string rootfs;            ///< absolute
  std::string created;           ///< RFC 3339, UTC, nanoseconds
  std::string cgroup_path;       ///< relative to the cgroup2 mount; empty: none
  std::string systemd_unit;      ///< that owns the cgroup; empty: none
  bool systemd_user = false;     ///< the unit belongs to the owner's user manager, not the system's
  pid_t pid = 0;                 ///< in the caller's pid namespace; 0 while it is being created
  std::uint64_t start_time = 0;  ///< field 22 of /proc/PID/stat, to detect a reused pid
  uid_t owner = 0;
  std::string oci_version;
  std::vector<std::pair<std::string, std::string>> annotations;
  bool mounts_on_host = false;  ///< see StateDir::noted_root
  bool has_process = true;      ///< false if config.json has no process; start requires it
  bool has_hooks =
      false;  ///< startContainer, poststart or poststop hooks: start and delete need the config
  bool has_rdt = false;  ///< see StateDir::noted_rdt
  /// Its create() is running hooks, or died there; with `has_hooks`: has not finished.
  bool creating = false;
  bool own_pid_namespace = false;  ///< its processes end with its init
  bool has_reaper = false;         ///< its init is the reaper of its program
  bool no_new_keyring = false;     ///< it was created with the caller's session keyring
  /// criu(8) has restored it in a time namespace, whatever config.json says, so that its clocks
  /// continue from their old values.
  bool in_time_namespace = false;
  std::uint32_t first_own_id = 0;  ///< of the range allocated for it; 0: none
};

/// Returns why other users make `root` unsafe for storing state; empty if it is safe or absent.
/// Other users may read the names in it: containers' directories are 0700.
std::string state_root_problem(const std::string& root);

/// Whether a cgroup's path stays in the tree. The stored state may have been changed.
bool is_cgroup_path(const std::string& path);
/// Returns the text of state.json.
std::string record_text(const StateRecord& record);
/// Parses state.json. `name` denotes the text in errors. Throws `invalid_config` for a malformed
/// record, or one of another container than `id`.
StateRecord parse_record(std::string text, const std::string& name, const std::string& id);

/// Mounts around the root of a container without a mount namespace, by mount id (statx(2)).
struct RootMount {
  std::string path;          ///< absolute
  std::uint64_t before = 0;  ///< the mount at `path` before the container was made
  std::uint64_t own = 0;     ///< the mount made for the container; 0: create() has not made it yet
};

/// init's answer at the start gate.
struct StartAnswer {
  bool failed = false;
  wire::StartFailure failure;
};

/// The directory of one container, open.
class StateDir {
 public:
  StateDir() = default;

  /// Creates ROOT (0700) if absent, and ROOT/ID, and locks it exclusively. Throws `already_exists`
  /// if ROOT/ID exists, `invalid_argument` for a ROOT with a state_root_problem(), `bad_status` if
  /// other processes repeatedly remove the directory before it is locked.
  static StateDir create(const std::string& root, const std::string& id);
  /// Opens ROOT/ID; none if there is no such container. Throws `invalid_argument` for a bad id,
  /// `bad_status` if ROOT/ID is not a directory.
  static std::optional<StateDir> open(const std::string& root, const std::string& id);
  /// Removes ROOT/ID if it is not a directory; does not follow symlinks. Returns false if nothing
  /// was removed.
  static bool remove_stray(const std::string& root, const std::string& id);
  /// Returns the ids below ROOT, sorted; empty if ROOT is absent.
  static std::vector<std::string> list(const std::string& root);

  /// Opens the same directory again. Throws `system`.
  StateDir again() const;

  int fd() const noexcept { return dir_.get(); }
  const std::string& id() const noexcept { return id_; }
  /// ROOT/ID, for messages.
  std::string path() const { return root_ + "/" + id_; }

  /// Locks the directory (flock(2)), waiting for other holders; unlocked by the destructor. Returns
  /// false if the directory was removed meanwhile; an existing ROOT/ID is then another container.
  bool lock();
  /// Locks without waiting; also returns false if another process holds the lock.
  bool try_lock();
  /// Locks as lock() does, but not waiting forever: kills the process that the lock's holder waits
  /// for (see Awaited) after `patience`.
  bool lock_by_force(std::chrono::milliseconds patience);
  /// Returns false if the directory was removed.
  bool exists() const;
  void unlock() noexcept;
  void write(const StateRecord& record);
  /// Returns none if state.json is absent (create has not written it yet, or died).
  std::optional<StateRecord> read() const;
  /// Whether state.json belongs to another container; the notes beside it do then, too.
  bool is_anothers() const;
  void write_config(std::string_view config);
  /// Returns none if the container was removed meanwhile.
  std::optional<std::string> read_config() const;
  /// Whether create() has begun to write the config. Before that point it has started nothing that
  /// outlives it.
  bool has_config() const;
  /// linux.resources after updates; none if there was no update.
  void write_resources(std::string_view resources);
  std::optional<std::string> read_resources() const;

  /// The mounts added since create(), as JSON; none if there are none.
  void write_added_mounts(std::string_view mounts);
  std::optional<std::string> read_added_mounts() const;

  /// Records the container's cgroup before it is made, because create() may die before it writes
  /// state.json. Only after `has_config` is it certain that the cgroup belongs to this container.
  /// Also records the process that the container is to end with; none if `caller` is empty.
  void note_origin(const std::string& caller, const std::string& cgroup);
  /// Clears the record: no cgroup was made.
  void forget_cgroup();
  /// Returns the record; empty if there is none.
  std::string noted_cgroup() const;
  std::string noted_caller() const;
  /// Records a resctrl directory before it is made, for removal with the container.
  void note_rdt(const std::string& directory);
  /// Clears the last record: the directory was not made.
  void forget_rdt();
  /// Returns the recorded directories, the last one first.
  std::vector<std::string> noted_rdt() const;
  /// Records the root of a container without a mount namespace, and the mount at that path, before
  /// anything is mounted there.
  void note_root(const RootMount& before);
  /// Records the mount that was made for the root.
  void note_root_mount(std::uint64_t mount);
  std::optional<RootMount> noted_root() const;

  /// Records the process that this process, the holder of the lock, waits for, in place of the
  /// previous one.
  void note_awaited(pid_t pid);
  void forget_awaited() noexcept;
  /// Kills the recorded process, if its pid was not reused.
  void kill_awaited() const;

  /// Makes the directory for the container's /run/notify and returns its path.
  std::string make_notify_directory();
  /// Makes the FIFO of the start gate.
  void make_start_gate();
  /// Opens the FIFO for init, locks it (flock(2)) and fills it, so that init blocks in write(2)
  /// until a process reads.
  Fd open_start_gate() const;
  /// Whether init holds the gate, according to the kernel (its lock on the FIFO) instead of stored
  /// state.
  bool start_gate_held() const;
  /// Lets init pass the gate, barred or not, and waits until it has executed the user's program,
  /// failed or ended. Throws `bad_status` if init does not hold the gate.
  StartAnswer pass_start_gate();
  /// Renames the gate's FIFO, so that no process waits in vain at the gate of a paused container.
  /// Does nothing if init does not hold the gate.
  void bar_start_gate();
  bool start_gate_barred() const noexcept;
  /// Reverts bar_start_gate(); does nothing if the gate is not barred.
  void unbar_start_gate() const noexcept;
  /// Removes the FIFO, so that the container can no longer be started.
  void close_start_gate();
  /// Removes the directory and its content; ENOENT is ignored.
  void remove();
  /// Removes a directory that is unlocked and empty: its process was killed just after creating it
  /// or just before removing it. Returns false if it is not.
  bool remove_if_empty();

 private:
  /// Makes the directory for create().
  void make() const;
  /// Opens and locks the directory. Returns false if it was removed meanwhile.
  bool take();
  /// Opens the gate's FIFO for reading; none if init does not hold the gate.
  std::optional<Fd> open_held_gate() const;

  Fd dir_;
  std::string root_;
  std::string id_;
};

/// A process that a command waits for, without a time limit, while holding a container's lock: a
/// hook, or criu serving lazy pages. `delete --force` kills it instead of waiting forever. The
/// destructor clears the record.
class Awaited {
 public:
  /// `cancellation` kills the process, too; may be null.
  explicit Awaited(StateDir& dir, Cancellation* cancellation = nullptr)
      : dir_(dir), cancellation_(cancellation) {}
  ~Awaited();
  Awaited(const Awaited&) = delete;
  Awaited& operator=(const Awaited&) = delete;

  /// Records `pid`, an unreaped child of this process that has been started. If the record fails
  /// (disk full), the process is not killed by `delete --force`.
  void started(pid_t pid) noexcept;
  /// Returns started() as a function.
  std::function<void(pid_t)> note();

 private:
  StateDir& dir_;
  Cancellation* cancellation_;
  bool noted_ = false;
};

}  // namespace tare

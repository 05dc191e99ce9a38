/// \file
/// The state of a container that persists between calls: ROOT/ID/ with state.json (written
/// atomically), config.json as of create, a lock, the journal, and the FIFO of the start gate.
/// Directories 0700, files 0600.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "state/journal.h"
#include "state/record.h"
#include "state/start_gate.h"
#include "tare/fd.h"

namespace tare {

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
  StateDir reopen() const;

  int fd() const noexcept { return dir_.get(); }
  const std::string& id() const noexcept { return id_; }
  /// ROOT/ID, for messages.
  std::string path() const { return root_ + "/" + id_; }
  Journal journal() const noexcept { return Journal(*this); }
  StartGate start_gate() const noexcept { return StartGate(*this); }

  /// Locks the directory (flock(2)), waiting for other holders; unlocked by the destructor. Returns
  /// false if the directory was removed meanwhile; an existing ROOT/ID is then another container.
  bool lock();
  /// Locks without waiting; also returns false if another process holds the lock.
  bool try_lock();
  /// Locks as lock() does, but not waiting forever: kills the process that the lock's holder waits
  /// for (see BlockingChild) after `timeout`.
  bool lock_by_force(std::chrono::milliseconds timeout);
  /// Returns false if the directory was removed.
  bool exists() const;
  void unlock() noexcept;
  void write(const StateRecord& record);
  /// Returns none if state.json is absent (create has not written it yet, or died).
  std::optional<StateRecord> read() const;
  /// Whether state.json belongs to another container; the journal beside it does then, too.
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

  /// Makes the directory for the container's /run/notify and returns its path.
  std::string make_notify_directory();
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
  Fd dir_;
  std::string root_;
  std::string id_;
};

}  // namespace tare

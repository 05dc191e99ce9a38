/// \file
/// The journal of a container: what exists outside its state directory and belongs to it. The
/// entries for the cgroup, resctrl directories and the root are written before these are made, so
/// that they can be removed even if the process that made them was killed.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace tare {

class StateDir;

/// Mounts around the root of a container without a mount namespace, by mount id (statx(2)).
struct RootMount {
  std::string path;          ///< absolute
  std::uint64_t before = 0;  ///< the mount at `path` before the container was made
  std::uint64_t own = 0;     ///< the mount made for the container; 0: create() has not made it yet
};

/// The entries in a container's state directory. Each is a symlink, because one system call makes a
/// symlink, completely or not at all. Refers to the directory.
class Journal {
 public:
  /// The entry that nearly every container has: see note_origin().
  static constexpr const char* origin_link = "cgroup";

  explicit Journal(const StateDir& dir) noexcept : dir_(dir) {}

  /// Notes the container's cgroup. Only after StateDir::has_config() is it certain that the cgroup
  /// belongs to this container. Also notes the process that the container is to end with; none if
  /// `caller` is empty.
  void note_origin(const std::string& caller, const std::string& cgroup) const;
  /// Removes the note of the cgroup: none was made.
  void forget_cgroup() const;
  /// Empty if there is none.
  std::string cgroup() const;
  std::string caller() const;
  /// Notes a resctrl directory, for removal with the container.
  void note_rdt(const std::string& directory) const;
  /// Removes the last of these notes: the directory was not made.
  void forget_rdt() const;
  /// Returns the resctrl directories, the last one first.
  std::vector<std::string> rdt() const;
  /// Notes the root of a container without a mount namespace, and the mount at that path, before
  /// anything is mounted there.
  void note_root(const RootMount& before) const;
  /// Notes the mount that was made for the root.
  void note_root_mount(std::uint64_t mount) const;
  std::optional<RootMount> root() const;

  /// Notes the child that this process, the holder of the lock, waits for, in place of the previous
  /// one; see BlockingChild.
  void note_blocking_child(pid_t pid) const;
  void forget_blocking_child() const noexcept;
  /// Identifies that child; empty if there is none.
  std::string blocking_child() const;
  /// Kills that child, if its pid was not reused.
  void kill_blocking_child() const;

 private:
  void note(const std::string& name, const std::string& text) const;
  std::string read(const std::string& name) const;

  const StateDir& dir_;
};

}  // namespace tare

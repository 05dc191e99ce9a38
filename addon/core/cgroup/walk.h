/// \file
/// Reads the tree of cgroups below one, while other processes may change it.
#pragma once

#include <sys/types.h>

#include <charconv>
#include <cstddef>
#include <string>
#include <vector>

#include "tare/fd.h"

namespace tare {

/// Whether the error means that the cgroup was removed: ENOENT for its files by name, ENODEV by
/// descriptor.
bool is_gone(int errnum) noexcept;
/// Returns the names of the direct children of `directory`.
std::vector<std::string> children(int directory);
/// Reads a file of a cgroup. Returns an empty string if the cgroup is gone, or is threaded: its
/// processes are then all in the list of the domain above it.
std::string read_if_alive(int directory, const char* file);
bool is_threaded(int directory);

/// Calls `visit` with each number of a list.
template <typename Visit>
void each_pid(const std::string& list, Visit visit) {
  const char* at = list.data();
  const char* const end = at + list.size();
  while (at < end) {
    pid_t pid = 0;
    at = std::from_chars(at, end, pid).ptr + 1;
    // 0 is a process of a pid namespace that is not visible from this one.
    if (pid > 0) {
      visit(pid);
    }
  }
}

/// A position in the tree below a cgroup. A container may nest cgroups to any depth, so this holds
/// one descriptor at any depth, and moves by single names: a whole path may be longer than
/// the kernel accepts. cgroup v2 has no renames, so ".." leads back to the parent.
class TreePosition {
 public:
  explicit TreePosition(int top) : top_(top) {}

  /// The cgroup at this position.
  int fd() const noexcept { return here_ ? here_.get() : top_; }
  /// Returns false if the child is gone.
  bool go_down(const std::string& name);
  /// Must not be called at the top.
  void go_up();

 private:
  int top_;
  Fd here_;  ///< none at the top
  std::size_t depth_ = 0;
};

/// Appends the processes of the cgroup `top` and of all cgroups below it.
void list_processes(int top, std::vector<pid_t>& pids);

}  // namespace tare

/// \file
/// Intel RDT and AMD QoS: the groups of a resctrl file system, which allocate shares of caches and
/// of memory bandwidth to tasks. See runtime-spec's config-linux.md "IntelRdt" and the kernel's
/// Documentation/arch/x86/resctrl.rst.
#pragma once

#include <sys/types.h>

#include <functional>
#include <string>
#include <string_view>

#include "tare/spec.h"

namespace tare {

namespace json {
class Writer;
}

/// Returns the mount point of a resctrl file system for this process; empty if there is none.
std::string find_resctrl();

/// Callbacks that record the directories to remove with the container, last one first.
struct RdtNotes {
  std::function<void(const std::string& directory)> note;  ///< called before it is made
  std::function<void()> forget;                            ///< the last one was not made
};

/// The group of one container, and its optional monitoring group.
class RdtGroup {
 public:
  RdtGroup() = default;

  /// Creates the container's group in the tree at `root`, or opens the one named by `closID`;
  /// writes its schemata, or compares them with those of an existing group; and creates the
  /// monitoring group. Throws `invalid_config` if the group is missing or has other schemata,
  /// `system` with the kernel's message if it refuses. On failure nothing that was created stays.
  /// `notes` is called for every created directory except a group named by `closID`.
  static RdtGroup create(const std::string& root, const IntelRdt& config, const std::string& id,
                         const RdtNotes& notes);
  /// Refers to the group of an existing container, without checking it.
  static RdtGroup open(const std::string& root, const IntelRdt& config, const std::string& id);

  explicit operator bool() const noexcept { return !path_.empty(); }
  /// Moves a process, with its future children, into the group.
  void add(pid_t pid) const;
  /// Writes one line of schemata; `where` denotes it in errors.
  void write_schema(std::string_view schema, std::string_view where) const;
  /// Writes the data for `events`, as an object in runc's JSON.
  void write_stats(json::Writer& writer) const;

 private:
  std::string root_;
  std::string path_;
  std::string monitor_;  ///< empty: none
};

/// Removes a recorded directory; ENOENT is ignored.
void remove_rdt_directory(const std::string& path);

}  // namespace tare

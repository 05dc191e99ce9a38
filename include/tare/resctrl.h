/// \file
/// Intel RDT and AMD QoS: the groups of a resctrl file system, which give tasks a share of caches
/// and of memory bandwidth. See runtime-spec's config-linux.md "IntelRdt" and the kernel's
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

/// Where a resctrl file system is mounted for this process; empty where none is.
std::string find_resctrl();

/// Hears of the directories that are to be removed with the container, the last one first.
struct RdtNotes {
  std::function<void(const std::string& directory)> note;  ///< before it is made
  std::function<void()> forget;                            ///< the last one was not made
};

/// The group of one container, and its monitoring group where it has one.
class RdtGroup {
 public:
  RdtGroup() = default;

  /// Makes the container's group in the tree at `root`, or finds the one that `closID` names,
  /// writes its schemata, or compares them with those of a group that was there, and makes the
  /// monitoring group. Throws `invalid_config` where the group is missing or has other schemata,
  /// `system` with the kernel's own words for what it refuses. On failure nothing that was made
  /// stays. `notes` hears of all that is made, but for a group that `closID` names.
  static RdtGroup create(const std::string& root, const IntelRdt& config, const std::string& id,
                         const RdtNotes& notes);
  /// The same group, of a container that is there. Looks at nothing.
  static RdtGroup open(const std::string& root, const IntelRdt& config, const std::string& id);

  explicit operator bool() const noexcept { return !path_.empty(); }
  /// Moves a process, with what it will start, into the group.
  void add(pid_t pid) const;
  /// Writes one line of schemata; `where` names it in errors.
  void write_schema(std::string_view schema, std::string_view where) const;
  /// What `events` tells of it, as an object in runc's JSON.
  void write_stats(json::Writer& writer) const;

 private:
  std::string root_;
  std::string path_;
  std::string monitor_;  ///< empty: none
};

/// Removes a directory that was noted; one that is gone is no error.
void remove_rdt_directory(const std::string& path);

}  // namespace tare

/// \file
/// cgroup v2: location, limits, device filter and removal of a container's cgroup. See the kernel's
/// Documentation/admin-guide/cgroup-v2.rst and runtime-spec's config-linux.md "Control groups".
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "tare/cgroup_stats.h"
#include "tare/fd.h"
#include "tare/spec.h"

namespace tare {

/// How this host mounts cgroups.
enum class CgroupMode : std::uint8_t {
  unified,  ///< /sys/fs/cgroup is a cgroup2 file system
  hybrid,   ///< v1 hierarchies, and a cgroup2 tree mounted beside them
  legacy,   ///< v1 only; the kernel's v2 tree exists but is not mounted
};

struct CgroupHost {
  CgroupMode mode = CgroupMode::legacy;
  std::string mount_point;  ///< of the cgroup2 tree; empty in legacy mode
};

/// Inspects /sys/fs/cgroup: statfs(2) first, /proc/self/mountinfo only if neither of the two usual
/// paths is a cgroup2 mount.
CgroupHost find_cgroup_host();

/// Returns the path of a container's cgroup, relative to the mount point and beginning with '/'. An
/// absolute `cgroupsPath` starts at the root of the tree; a relative one, and the id if it is
/// absent, starts at the parent of the calling process's own cgroup (that cgroup itself contains
/// processes, so it cannot enable controllers for children). Throws `invalid_config` for a path
/// that leaves its start by "..", and for the root of the tree.
std::string cgroup_path_for(const Spec& spec, const std::string& id, const CgroupHost& host);

/// The prefix of a linux.resources field in messages about config.json.
inline constexpr std::string_view config_resources = "config.json: linux.resources.";

/// Returns the JSON path for "PREFIX FIELD" of a message: without the name of the JSON text.
inline std::string json_path(std::string_view prefix, std::string_view field) {
  const std::size_t colon = prefix.rfind(": ");
  return std::string(prefix.substr(colon == prefix.npos ? 0 : colon + 2)).append(field);
}

/// One write to a file of a cgroup.
struct CgroupSetting {
  std::string controller;  ///< "memory"; empty for the core's own files ("cgroup.…")
  std::string file;        ///< "memory.max"
  std::string value;
  std::string field;  ///< JSON path below linux.resources, e.g. "memory.limit"
  /// Written if `file` does not exist or does not support the device: not every kernel has BFQ, and
  /// not every device uses it.
  std::string fallback_file{};
  std::string fallback_value{};
  /// False if the value is in effect anyway where the file is missing ("max", no swap).
  bool required = true;
  /// Ignore EINVAL: either the value is written again after the setting it depends on, or it has no
  /// effect while another setting holds (an idle cgroup has no weight).
  bool tentative = false;
  /// Keep the current first word of the value, the quota.
  bool keep_quota = false;
};

/// Translates `resources` to cgroup v2 settings in the order of writing, without the device filter.
/// Values that are absent, zero or empty mean "not set"; fields that exist in cgroup v1 only yield
/// no settings. Pure. The resources are valid (see `validate_resources`).
std::vector<CgroupSetting> cgroup_settings(const Resources& resources);

/// Returns a sentence about each field of `resources` that is set and has no equivalent in cgroup
/// v2. Such a configuration starts under other runtimes, so the field causes a warning. Pure.
/// `prefix` precedes a field of linux.resources in the sentences.
std::vector<std::string> ignored_resources(const Resources& resources,
                                           std::string_view prefix = config_resources);

/// A change of the resources of an existing container.
struct ResourcesChange {
  Resources after;                      ///< the resulting resources
  std::vector<CgroupSetting> settings;  ///< writes that make the change, in this order
  /// Whether the device rules differ from the previous ones. Engines send the same rules with each
  /// update.
  bool devices = false;
  std::vector<DeviceRule> devices_before;
};

/// Applies `changes` (see `updated_resources`) to `before`. Only what `changes` name and what
/// depends on it is written; a key of `unified` that would undo it is dropped. Pure. The result of
/// `updated_resources` is valid (see `validate_resources`).
ResourcesChange change_of_resources(const Resources& before, const Resources& changes);

/// The container's cgroup. All operations act on a directory descriptor, never on a path that could
/// have been replaced. False if the container has no cgroup: nothing is tracked or waited for, and
/// operations that need a cgroup throw `unsupported`.
class Cgroup {
 public:
  Cgroup() = default;

  /// Creates the cgroup and enables controllers in each ancestor: the usual ones, or all that its
  /// parent offers if `resources` limit anything. Throws `unsupported`, before creating anything,
  /// for limits whose controller is missing in the v2 tree; the message names the controller, the
  /// cgroup and the remedy. In legacy mode the tree is mounted for this process alone, as a
  /// detached mount.
  ///
  /// An existing cgroup is used, with its limits, if it is not frozen and neither it nor its
  /// descendants contain processes; otherwise throws `already_exists`: kill and freeze would also
  /// hit unrelated processes, or the container's processes would be born frozen. A new cgroup below
  /// a frozen one is refused for the latter reason, too.
  ///
  /// With `tolerate_permission_errors` (rootless), a user without permission to create cgroups gets
  /// none, as long as no limits are requested.
  static Cgroup create(const CgroupHost& host, const std::string& path, const Resources& resources,
                       bool tolerate_permission_errors);
  /// Throws, as create() does, for limits whose controller is missing in the tree.
  static void refuse_unoffered(const CgroupHost& host, const Resources& resources);
  /// Throws, as create() does, if the cgroup at `path` is in use or frozen, or would be frozen by
  /// an ancestor.
  static void refuse_in_use(const CgroupHost& host, std::string path);
  /// Opens the cgroup of an existing container. Returns none (false) if it no longer exists.
  static Cgroup open(const CgroupHost& host, const std::string& path);

  explicit operator bool() const noexcept { return static_cast<bool>(dir_); }
  /// The directory (O_PATH), for CLONE_INTO_CGROUP. Owned by this object; -1 if there is none.
  int fd() const noexcept { return dir_.get(); }
  /// Relative to the mount point; empty if there is none.
  const std::string& path() const noexcept { return path_; }
  /// Whether create() made the directory. A directory that existed before is not removed on
  /// failure.
  bool made() const noexcept { return made_; }

  /// Returns the descendant cgroup at the relative `path`, creating it if absent. Throws `system`.
  Cgroup below(const std::string& path) const;
  /// Makes the cgroup threaded if its parent is threaded or a threaded domain, because it could
  /// hold no process otherwise; see cgroups(7) "thread mode". Returns false if neither is the case.
  bool become_threaded() const;
  /// Writes every limit that is set (see `cgroup_settings`). Throws `system` with the file name and
  /// the value, or `unsupported` if the controller is missing.
  void apply(const Resources& resources, std::string_view prefix = config_resources);
  /// Writes the settings unchanged.
  void apply(std::vector<CgroupSetting> settings, std::string_view prefix = config_resources);
  /// Completes `settings` from the cgroup's current values: fills in a quota that is to be kept.
  /// Throws as change() does for memory.checkBeforeUpdate.
  void prepare(std::vector<CgroupSetting>& settings, const MemoryResources& memory,
               std::string_view prefix) const;
  /// Returns `settings` with the first line that their files currently contain, without missing
  /// files.
  std::vector<CgroupSetting> present(const std::vector<CgroupSetting>& settings) const;
  /// Writes the settings of `change`, replaces the device filter and calls `remember`, with the
  /// errors of apply(). If any of these throws, restores all values that were written. If
  /// memory.checkBeforeUpdate is set, throws `invalid_config` for a limit that is not above the
  /// current usage.
  void change(
      const ResourcesChange& change, std::string_view prefix,
      const std::function<void()>& remember = [] {});
  /// Builds the eBPF device filter for `rules` (see `device_filter_program`) and attaches it, in
  /// place of the filters that are attached to this cgroup. With `tolerate_permission_errors`,
  /// EPERM is ignored.
  void attach_device_filter(const std::vector<DeviceRule>& rules, bool tolerate_permission_errors);
  /// Replaces the device filter of an existing container atomically: at no time are accesses
  /// checked by no filter or by both. Filters attached by other programs stay.
  void replace_device_filter(const std::vector<DeviceRule>& rules) const;
  /// Changes the owner of the cgroup and of the files in /sys/kernel/cgroup/delegate, for the root
  /// of a user namespace.
  void delegate(uid_t uid, gid_t gid);

  /// Returns the resource usage of the cgroup's processes; zeros if the cgroup is being removed.
  CgroupStats stats() const;
  /// Returns a subset of the usage, for a container that has ended.
  CgroupTotals totals() const;
  /// Moves a process into the cgroup. Returns 0 or an errno: EBUSY if the cgroup enables
  /// controllers for children.
  int add(pid_t pid);
  /// Returns the host pids of all processes in the cgroup and its descendants.
  std::vector<pid_t> processes() const;
  /// Kills all processes in the cgroup and its descendants, including ones being forked: by
  /// cgroup.kill (Linux 5.14) or in a frozen cgroup. Does not wait for their end.
  void kill_all();
  /// Sends `signal` to all processes that are currently in the cgroup or its descendants.
  void signal_all(int signal);
  /// Freezes or thaws all processes. Waits by poll(2) for up to 10 s until they are frozen; after
  /// that, thaws them and throws `system` (ETIMEDOUT).
  void freeze(bool frozen);
  /// Whether all processes are frozen because of freeze().
  bool frozen() const;
  /// Waits without a timeout until the cgroup and its descendants contain no process.
  void wait_until_empty() const;
  /// Waits like wait_until_empty(), but for up to 10 s; returns false if a process is left.
  bool empties() const;
  /// Removes the cgroup and its descendants. Waits up to 10 s for ending processes, then throws
  /// `system` (EBUSY) naming one; ENOENT is ignored. `kills`: kills remaining processes as
  /// kill_all() does. Leaves this object without a cgroup.
  void remove(bool kills = false);

 private:
  /// The path for messages: mount point and path.
  std::string shown_path() const;
  std::string shown_path(std::string_view file) const {
    return shown_path().append("/").append(file);
  }
  /// Returns the descriptor; throws `unsupported` if there is none.
  int required_fd() const;
  void refuse_unoffered(const Fd& root, std::string_view offered,
                        const std::vector<CgroupSetting>& settings) const;
  [[noreturn]] void refuse_missing(const CgroupSetting& setting, std::string_view prefix) const;
  void write(CgroupSetting& setting, std::string_view prefix) const;
  void check_memory_in_use(const MemoryResources& memory, std::string_view prefix) const;
  /// Throws unless a new container may use the existing cgroup.
  void refuse_in_use() const;
  void refuse_frozen() const;

  Fd dir_;
  std::string path_;         ///< relative to the mount point
  std::string mount_point_;  ///< empty in legacy mode
  bool made_ = false;
  bool filtered_ = false;  ///< this object has attached a filter
};

/// Returns the eBPF program for `rules`: struct bpf_insn[] as bytes. Pure.
///
/// Initially all access is denied. The rules apply in order, each to the access bits that it names:
/// for each of read, write and mknod, the last rule that matches a device decides. A major or minor
/// number that is absent or -1 matches any. The rules are followed by those for every container:
/// mknod of any device, the devices that the spec requires (null, zero, full, random, urandom, tty,
/// ptmx and the pseudoterminals), and /dev/net/tun, on which engines rely. /dev/console (5:1) is
/// not among them: a container's console is a pseudoterminal, and 5:1 would be the host's. Throws
/// `invalid_config` for a negative number or unknown access.
std::string device_filter_program(const std::vector<DeviceRule>& rules);
/// Loads the filter for an empty rule list into the kernel and drops it. Returns 0 or the kernel's
/// errno.
int device_filter_errno();

}  // namespace tare

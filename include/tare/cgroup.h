/// \file
/// cgroup v2: where a container's cgroup is, its limits, its device filter, its end.
/// See the kernel's Documentation/admin-guide/cgroup-v2.rst and runtime-spec's config-linux.md
/// "Control groups".
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
  legacy,   ///< v1 only; the kernel's v2 tree exists, but nobody has mounted it
};

struct CgroupHost {
  CgroupMode mode = CgroupMode::legacy;
  std::string mount_point;  ///< of the cgroup2 tree; empty in legacy mode
};

/// Looks at /sys/fs/cgroup (statfs first; /proc/self/mountinfo only where no cgroup2 is at one of
/// the two usual places).
CgroupHost find_cgroup_host();

/// Where a container's cgroup lies, relative to the mount point and beginning with '/'. An absolute
/// `cgroupsPath` is taken from the root of the tree; a relative one, and the id where it is absent,
/// below the parent of the calling process's own cgroup (its own cgroup has processes, and so may
/// hand no controllers to children). Throws `invalid_config` for a path that leaves its start by
/// "..", or that is the root of the tree.
std::string cgroup_path_for(const Spec& spec, const std::string& id, const CgroupHost& host);

/// What messages about config.json put before a field of linux.resources.
inline constexpr std::string_view config_resources = "config.json: linux.resources.";

/// One write to a file of a cgroup.
struct CgroupSetting {
  std::string controller;  ///< "memory"; empty for the core's own files ("cgroup.…")
  std::string file;        ///< "memory.max"
  std::string value;
  std::string field;  ///< JSON path below linux.resources, e.g. "memory.limit"
  /// Written where `file` does not exist, or not for that device: not every kernel has BFQ, nor
  /// does every device use it.
  std::string fallback_file{};
  std::string fallback_value{};
  /// False for a value that holds anyhow where the file is missing ("max", no swap).
  bool required = true;
  /// EINVAL is no error: the same value is written again when the setting it depends on is there,
  /// or says nothing as long as another setting holds (an idle cgroup has no weight).
  bool tentative = false;
  /// The value's first word, the quota, is to stay what it is.
  bool keep_quota = false;
};

/// What `resources` means in cgroup v2, in the order of writing; the device filter is apart. Values
/// that are absent, zero or empty mean "not set"; what only cgroup v1 has comes to nothing. Pure.
/// Throws `invalid_config` for values that contradict each other or that no kernel takes. `prefix`
/// is what messages put before a field of linux.resources.
std::vector<CgroupSetting> cgroup_settings(const Resources& resources,
                                           std::string_view prefix = config_resources);

/// A sentence about each field of `resources` that is set and that cgroup v2 has nothing for: a
/// configuration that names one starts under other runtimes, so it is warned of. Pure.
std::vector<std::string> ignored_resources(const Resources& resources,
                                           std::string_view prefix = config_resources);

/// A change of the resources of a container that is there.
struct ResourcesChange {
  Resources after;                      ///< what holds afterwards
  std::vector<CgroupSetting> settings;  ///< what is to be written for it, in this order
  /// The device rules are others than before. Engines send the same ones with each update.
  bool devices = false;
  std::vector<DeviceRule> devices_before;
};

/// What `changes` (see `updated_resources`) make of `before`. Written is what `changes` name and
/// what follows from it; a key of `unified` that would undo it is dropped. Pure, and throws as
/// `cgroup_settings` does.
ResourcesChange change_of_resources(const Resources& before, const Resources& changes,
                                    std::string_view prefix);

/// The container's cgroup. Everything acts on a directory descriptor, never on a path that could
/// have been replaced. Where false, the container has none: nothing is tracked or waited for, and
/// what cannot be done without a cgroup throws `unsupported`.
class Cgroup {
 public:
  Cgroup() = default;

  /// Makes the cgroup, and enables in each ancestor the usual controllers, or all that its parent
  /// offers where `resources` limit anything. Refuses
  /// with `unsupported`, before anything is made, limits whose controller v2 lacks there: names the
  /// controller, the place and what to do. In legacy mode the tree is mounted for this process
  /// alone, without a place in the file system.
  ///
  /// An existing cgroup is used, limits and all, if there are no processes in it or below it and it
  /// is not frozen; else `already_exists`: the container would share its fate with strangers, or
  /// would never come to life. The latter goes for a new one below a frozen one, too.
  ///
  /// With `tolerate_permission_errors` (rootless), a user who may not make cgroups gets none, as
  /// long as no limits are asked for.
  static Cgroup create(const CgroupHost& host, const std::string& path, const Resources& resources,
                       bool tolerate_permission_errors);
  /// Refuses, as create() does, limits whose controller the tree does not have.
  static void refuse_unoffered(const CgroupHost& host, const Resources& resources);
  /// Refuses, as create() does, a path whose cgroup is in use or frozen, or will be frozen as one
  /// above it is.
  static void refuse_in_use(const CgroupHost& host, std::string path);
  /// Opens the cgroup of an existing container; none (false) where it is gone.
  static Cgroup open(const CgroupHost& host, const std::string& path);

  explicit operator bool() const noexcept { return static_cast<bool>(dir_); }
  /// The directory (O_PATH), for CLONE_INTO_CGROUP. Owned by this object; -1 where there is none.
  int fd() const noexcept { return dir_.get(); }
  /// Relative to the mount point; empty where there is none.
  const std::string& path() const noexcept { return path_; }
  /// Whether create() made the directory (else it was there before and is not ours to remove on
  /// failure).
  bool made() const noexcept { return made_; }

  /// A cgroup below this one by its relative path, made where it is not there. Throws `system`.
  Cgroup below(const std::string& path) const;
  /// Makes a threaded cgroup of one that is below another threaded one or its domain, and so could
  /// hold no process; see cgroups(7) "thread mode". False where it is none of those.
  bool become_threaded() const;
  /// Writes every limit that is set (see `cgroup_settings`). Throws `system` with the file's name
  /// and what was written, or `unsupported` where the controller is missing.
  void apply(const Resources& resources, std::string_view prefix = config_resources);
  /// Writes settings as they are.
  void apply(std::vector<CgroupSetting> settings, std::string_view prefix = config_resources);
  /// Makes `settings` what they come to for this cgroup as it is now: a quota that is to stay is
  /// filled in. Throws as change() does for memory.checkBeforeUpdate.
  void prepare(std::vector<CgroupSetting>& settings, const MemoryResources& memory,
               std::string_view prefix) const;
  /// The first line that the files of `settings` have now, of those that there are.
  std::vector<CgroupSetting> present(const std::vector<CgroupSetting>& settings) const;
  /// Writes the settings of `change` and replaces the device filter, with the same errors; then
  /// what was written already is put back to what it was. Where memory.checkBeforeUpdate is set,
  /// throws `invalid_config` for a limit that is not above what is in use. `remember` comes last;
  /// where it throws, all is put back too.
  void change(
      const ResourcesChange& change, std::string_view prefix,
      const std::function<void()>& remember = [] {});
  /// Builds and attaches the eBPF device filter for `rules` (see `device_filter_program`), in place
  /// of what is attached to this cgroup. With `tolerate_permission_errors`, EPERM is no error.
  void attach_device_filter(const std::vector<DeviceRule>& rules, bool tolerate_permission_errors);
  /// The same where the container is there, by one step: no access is ever judged by no filter, or
  /// by both. Filters that others have attached beside ours stay.
  void replace_device_filter(const std::vector<DeviceRule>& rules) const;
  /// chown of the cgroup and of the files in /sys/kernel/cgroup/delegate, for a user namespace's
  /// root.
  void delegate(uid_t uid, gid_t gid);

  /// What its processes use. Where the cgroup is being removed, zeros.
  CgroupStats stats() const;
  /// A few of them, for a container that has ended.
  CgroupTotals totals() const;
  /// Moves a process into it, 0 or an errno: EBUSY where it hands controllers to children.
  int add(pid_t pid);
  /// Every process in the cgroup and below it, host pids.
  std::vector<pid_t> processes() const;
  /// Kills every process in it and below it, those that are being forked too, by cgroup.kill (Linux
  /// 5.14) or in a frozen cgroup. Does not wait for their end.
  void kill_all();
  /// Sends `signal` to every process that is in it or below it now.
  void signal_all(int signal);
  /// Stops or continues every process. Waits for the stop, by poll(2), up to 10 s: then throws
  /// `system` (ETIMEDOUT) and continues them.
  void freeze(bool frozen);
  /// Whether every process is stopped because `freeze` asked for it.
  bool frozen() const;
  /// Waits without a time-out until no process is left in it or below.
  void wait_until_empty() const;
  /// The same for up to 10 s; false where there is still one.
  bool empties() const;
  /// Removes the cgroup and what is below it. Waits up to 10 s for processes that are ending, and
  /// then throws `system` (EBUSY) naming one; gone already is no error. `kills`: who is in it all
  /// the same is killed, as by kill_all(). Leaves this object without a cgroup.
  void remove(bool kills = false);

 private:
  /// The path as people see it: mount point and path.
  std::string place() const;
  std::string place(std::string_view file) const { return place().append("/").append(file); }
  /// The descriptor; throws `unsupported` where there is none.
  int required_fd() const;
  void refuse_unoffered(const Fd& root, std::string_view offered,
                        const std::vector<CgroupSetting>& settings) const;
  [[noreturn]] void refuse_missing(const CgroupSetting& setting, std::string_view prefix) const;
  void write(CgroupSetting& setting, std::string_view prefix) const;
  void check_memory_in_use(const MemoryResources& memory, std::string_view prefix) const;
  /// Throws unless an existing cgroup can be a new container's.
  void refuse_in_use() const;
  void refuse_frozen() const;

  Fd dir_;
  std::string path_;         ///< relative to the mount point
  std::string mount_point_;  ///< empty in legacy mode
  bool made_ = false;
  bool filtered_ = false;  ///< this object has attached a filter
};

/// The eBPF program for `rules`: struct bpf_insn[] as bytes. Pure.
///
/// Nothing is allowed at first. The rules apply in order, each to the access bits that it names; so
/// for each of read, write and mknod the last rule that matches a device decides. A major or minor
/// number that is absent or -1 matches any. After the rules come those that every container gets:
/// mknod of any device, the devices that the spec demands (null, zero, full, random, urandom, tty,
/// ptmx and the pseudoterminals), and /dev/net/tun, which engines count on. /dev/console (5:1) is
/// not among them: in a container it is a pseudoterminal, and 5:1 would be the host's.
/// Throws `invalid_config` for a negative number or unknown access.
std::string device_filter_program(const std::vector<DeviceRule>& rules);
/// Has the kernel take the filter for no rules, and drop it: 0, or the errno with which it refuses.
int device_filter_errno();

}  // namespace tare

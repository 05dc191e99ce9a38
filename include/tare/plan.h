/// \file
/// The plan: all steps that start a container, as data. `make_plan` is pure: it makes no system
/// call, so a plan can be printed by any user (`tare plan`) and compared with goldens. The order of
/// operations is defined here alone.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "tare/seccomp.h"
#include "tare/spec.h"
#include "tare/wire.h"

namespace tare {

/// The host facts that a plan depends on, beyond the config. They are gathered before planning.
struct Host {
  std::string bundle;     ///< absolute path of the bundle directory
  bool rootless = false;  ///< the caller is not root
  bool in_user_namespace =
      false;  ///< the caller's user namespace is not the initial one, so mknod(2) is not permitted
  uid_t euid = 0;
  gid_t egid = 0;              ///< of a rootless caller, else 0
  bool cgroup_unified = true;  ///< /sys/fs/cgroup is a cgroup2 file system
  std::string cgroup_dir;      ///< absolute directory of the container's cgroup; empty: none
  /// init is cloned outside of that cgroup and moved there while it waits. A new cgroup namespace
  /// is rooted at the cgroup of its creator, so it is created after the move.
  bool enters_cgroup = false;
  /// All users may traverse the path to the root file system, and so may the root of a user
  /// namespace.
  bool rootfs_in_reach = false;
  bool has_apparmor = false;  ///< /sys/kernel/security/apparmor, or its procfs attr, exists
  bool has_selinux = false;
  /// CLONE_NEW* of the namespaces to join that belong to the joined user namespace, and so can be
  /// entered from inside it only.
  std::uint64_t inner_namespaces = 0;
  /// Targets of the symlinks that are sources of mounts with the option copy-symlink, by mount
  /// index.
  std::map<std::size_t, std::string> symlinks;
  /// Host paths of the nodes of listed devices that a user namespace cannot make, by device path;
  /// only for devices whose host path differs.
  std::map<std::string, std::string> device_nodes;
  SeccompFilter seccomp;  ///< compiled from linux.seccomp; empty program: none
};

/// An entry made in a container's root as soon as the root is mounted, before all other mounts: a
/// directory, a symlink or a file (mode 644), which must not exist. Requires that the first mount
/// is the root.
struct RootEntry {
  enum class Kind : std::uint8_t { directory, link, file };
  Kind kind = Kind::directory;
  std::string path;  ///< absolute
  std::string text;  ///< the link's target, or the file's content
};

/// The caller's options for creating a container.
struct PlanOptions {
  std::string id;  ///< names the session keyring
  bool no_pivot = false;
  bool no_new_keyring = false;
  bool start_gate = false;        ///< hold before the user's program until `start`
  bool ends_with_caller = false;  ///< the process is killed when the caller ends
  /// Pid 1 of the container is a reaper, and the program is its child. Requires a new pid
  /// namespace.
  bool reaper = false;
  std::uint32_t preserve_fds = 0;      ///< fds 3 … 3+N-1 go to the user's process
  std::vector<std::string> extra_env;  ///< LISTEN_FDS, NOTIFY_SOCKET, …
  std::shared_ptr<const std::vector<RootEntry>> root_entries;  ///< null: none
};

/// The options of `exec` for its process.
struct ExecPlanOptions {
  std::string id;
  std::uint32_t preserve_fds = 0;
  bool no_new_keyring = false;
  bool host_acts = false;      ///< the host may have to act before the program runs
  ProcessSource source;        ///< of the process
  bool paused = false;         ///< the process is frozen after the host has answered its last wait
  bool enters_cgroup = false;  ///< the host moves it to its cgroup after setup
  bool pass_root = false;  ///< the host can open the root of the container's init, and passes it
  std::vector<std::string> extra_env;
};

/// Descriptors that the host opens before the clone and passes to init.
enum class PassedKind : std::uint8_t {
  namespace_file,   ///< a namespace to join, or the mapping of an id-mapped mount
  id_mapping,       ///< an empty user namespace, used for its id mapping only
  detached_mount,   ///< open_tree(2) with OPEN_TREE_CLONE of a path that init could not reach from
                    ///< its user namespace; only in Plan::requested()
  start_gate,       ///< the FIFO of the container's start gate
  container_pidfd,  ///< the pidfd of the container's init, for joining its namespaces
  container_namespace,  ///< a namespace of the container's init; the path is relative to its
                        ///< directory in /proc
  container_root,       ///< "/" of the container's init
  directory,            ///< a plain directory; only in Plan::requested()
  answers,              ///< the socket for spawn()'s answers, if not the channel
  ending,               ///< the eventfd(2) of the reaper, which spawn() makes
};

struct Passed {
  PassedKind kind = PassedKind::namespace_file;
  std::string path;
  /// Of detached_mount: wire::op_recursive, op_no_follow, op_source_no_symlinks, op_source_beneath.
  std::uint32_t flags = 0;
  std::string origin;  ///< path in config.json
  std::string within;  ///< with op_source_beneath: the directory
  /// detached_mount: index of the passed user namespace with its id mapping, -1: none.
  int id_mapping = -1;
  bool maps_all = false;        ///< the id mapping applies to all submounts, too
  std::vector<IdMapping> uids;  ///< of id_mapping
  std::vector<IdMapping> gids;
};

/// A namespace joined before the clone.
struct Join {
  int passed = -1;         ///< index into Plan::passed()
  std::uint64_t type = 0;  ///< CLONE_NEW* (a mask with a pidfd)
};

/// An immutable plan with the host's preparations.
class Plan {
 public:
  const std::vector<wire::Op>& ops() const noexcept { return ops_; }
  const std::vector<Passed>& passed() const noexcept { return passed_; }
  /// What init requests from the host (op request_mounts), in order.
  const std::vector<Passed>& requested() const noexcept { return requested_; }
  /// CLONE_NEW* for clone3(2).
  std::uint64_t clone_flags() const noexcept { return clone_flags_; }
  /// The namespaces to join before the clone, in this order: pid namespaces (joining affects
  /// children only) and a user namespace (the owner of the new namespaces), preceded by the
  /// namespaces that only the host may enter.
  const std::vector<Join>& joins() const noexcept { return joins_; }
  std::uint32_t preserved_fds() const noexcept { return preserved_fds_; }
  bool has_console() const noexcept { return has_console_; }
  /// Whether the process that spawn() creates exits and leaves the program to another child of its
  /// parent.
  bool forks_into_pidns() const noexcept { return forks_into_pidns_; }
  /// Whether the process that spawn() creates becomes the reaper of the program.
  bool has_reaper() const noexcept { return has_reaper_; }

  /// The string at `offset` of the pool.
  const char* text(std::uint32_t offset) const noexcept { return strings_.data() + offset; }
  /// The plan as init reads it (wire.h).
  std::string bytes() const;

  /// Returns one line per op, in the words of mount(8) and of the config; ends with a newline.
  std::string to_text() const;
  /// The same as a JSON object: clone flags, passed fds, ops with origin, text and raw fields.
  std::string to_json() const;
  /// Returns a description of the op for errors: "mount proc on /proc".
  std::string describe(std::size_t op) const;

 private:
  friend class PlanBuilder;
  std::vector<wire::Op> ops_;
  std::vector<Passed> passed_;
  std::vector<Passed> requested_;
  std::string strings_;
  std::uint64_t clone_flags_ = 0;
  std::vector<Join> joins_;
  std::uint32_t preserved_fds_ = 0;
  bool has_console_ = false;
  bool forks_into_pidns_ = false;
  bool has_reaper_ = false;
};

/// Type and number of a device as in stat(2); a FIFO has number 0.
mode_t type_bits(char type);
dev_t device_number(const Device& device);
/// Whether the device is a bind mount of the host's node: in a user namespace, mknod(2) creates
/// only FIFOs and overlayfs whiteouts (0:0).
bool needs_host_node(const Device& device, const Spec& spec, const Host& host);

/// Makes the plan for creating a container. Pure. `spec` must have passed validate(). Throws
/// `invalid_config` for mount options that contradict each other.
Plan make_plan(const Spec& spec, const Host& host, const PlanOptions& options);
/// Makes the plan for a further process in the container of `spec`.
Plan make_exec_plan(const Process& process, const Spec& spec, const Host& host,
                    const ExecPlanOptions& options);
/// Makes the plan for a hook in the container's namespaces. `before_pivot`: a createContainer hook,
/// whose path is on the host; otherwise a startContainer hook, run with the credentials of the
/// container's process.
Plan make_hook_plan(const Hook& hook, const Spec& spec, const Host& host, bool before_pivot,
                    bool pass_root);

/// Makes the plan for an init that makes mounts of a container read-only and then waits, for a
/// container that criu has restored without that attribute.
Plan make_read_only_plan(const std::vector<std::string>& paths);

/// Makes the plan for an init that makes the mounts of `spec` in its existing container, reports
/// each and then waits. `list` denotes them in messages.
Plan make_mounts_plan(const Spec& spec, const Host& host, const std::string& list, bool pass_root);
/// Makes the plan for an init that unmounts one of these by its mount id and then waits.
Plan make_unmount_plan(const Spec& spec, const Host& host, const std::string& destination,
                       std::uint64_t number, const std::string& origin, bool pass_root);

/// A host program that tare runs.
struct ProgramPlanOptions {
  std::string path;  ///< absolute
  std::vector<std::string> args;
  std::vector<std::string> env;
  std::uint32_t preserve_fds = 0;
  /// A directory that the program sees bind-mounted, with all submounts, at
  /// `mount_directory`/`name` in a mount namespace of its own; empty: the caller's mount namespace.
  std::string tree;
  std::string mount_directory;  ///< absolute directory
  std::string name;
};
/// Makes the plan for such a program, with the caller's credentials and namespaces.
Plan make_program_plan(const ProgramPlanOptions& options);

/// Returns the name of a step's system call ("move_mount"), for errors; empty if it has none.
const char* step_name(wire::Step step) noexcept;
/// Returns the reason of a step that is a check of init ("path too long"); empty if it is none.
const char* check_reason(wire::Step step) noexcept;

}  // namespace tare

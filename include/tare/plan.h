/// \file
/// The plan: all that is done to start a container, as data. `make_plan` is pure: it makes no
/// system call, so a plan can be printed by anyone (`tare plan`) and compared with goldens. The
/// order of operations lives here alone.
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

/// What the host knows and the config does not. All that decides how a plan looks, gathered before.
struct Host {
  std::string bundle;     ///< absolute path of the bundle directory
  bool rootless = false;  ///< the caller is not root
  bool in_user_namespace =
      false;  ///< the caller's user namespace is not the initial one: mknod(2) is not its right
  uid_t euid = 0;
  gid_t egid = 0;              ///< of a rootless caller, else 0
  bool cgroup_unified = true;  ///< /sys/fs/cgroup is a cgroup2 file system
  std::string cgroup_dir;      ///< absolute directory of the container's cgroup; empty: none
  /// init is cloned outside of that cgroup and moved there while it waits: a new cgroup namespace,
  /// which is rooted where its maker is, comes after that.
  bool enters_cgroup = false;
  /// The root file system may be walked to by everybody, so also by a user namespace's root.
  bool rootfs_in_reach = false;
  bool has_apparmor = false;  ///< /sys/kernel/security/apparmor, or its procfs attr, exists
  bool has_selinux = false;
  /// CLONE_NEW* of the namespaces to be joined that belong to the joined user namespace, and so can
  /// be entered from inside it only.
  std::uint64_t inner_namespaces = 0;
  /// Where symlinks lead that mounts with the option copy-symlink have as their source, by the
  /// mounts' indices.
  std::map<std::size_t, std::string> symlinks;
  /// Where the host has the nodes of listed devices that a user namespace cannot make, by the
  /// devices' paths; none for those that are at the same path on the host.
  std::map<std::string, std::string> device_nodes;
  SeccompFilter seccomp;  ///< compiled from linux.seccomp; empty program: none
};

/// What a container's root gets as soon as it is mounted, before all other mounts: a directory, a
/// symlink or a file (mode 644), which must not be there. Where the first mount is the root.
struct RootEntry {
  enum class Kind : std::uint8_t { directory, link, file };
  Kind kind = Kind::directory;
  std::string path;  ///< absolute
  std::string text;  ///< where the link leads, or what is in the file
};

/// How the caller wants the container started.
struct PlanOptions {
  std::string id;  ///< names the session keyring
  bool no_pivot = false;
  bool no_new_keyring = false;
  bool start_gate = false;        ///< hold before the user's program until `start`
  bool ends_with_caller = false;  ///< the process is killed when the caller ends
  /// Pid 1 of the container is a reaper, and the program is its child: with a new pid namespace.
  bool reaper = false;
  std::uint32_t preserve_fds = 0;      ///< fds 3 … 3+N-1 go to the user's process
  std::vector<std::string> extra_env;  ///< LISTEN_FDS, NOTIFY_SOCKET, …
  std::shared_ptr<const std::vector<RootEntry>> root_entries;  ///< null: none
};

/// How `exec` wants its process started.
struct ExecPlanOptions {
  std::string id;
  std::uint32_t preserve_fds = 0;
  bool no_new_keyring = false;
  bool host_acts = false;      ///< the host may have to do something before the program runs
  ProcessSource source;        ///< of the process
  bool paused = false;         ///< the process is stopped when the host has answered its last wait
  bool enters_cgroup = false;  ///< the host moves it to its cgroup when it is all set up
  bool pass_root = false;  ///< the host can open the root of the container's init, and passes it
  std::vector<std::string> extra_env;
};

/// What the host opens before the clone and passes to init.
enum class PassedKind : std::uint8_t {
  namespace_file,   ///< a namespace to join, or the mapping of an id-mapped mount
  id_mapping,       ///< a user namespace with nobody in it, for its mapping alone
  detached_mount,   ///< open_tree(2) with OPEN_TREE_CLONE of a path that init could not reach from
                    ///< its user namespace; is fetched
  start_gate,       ///< the FIFO of the container's start gate
  container_pidfd,  ///< the pidfd of the container that is joined
  container_namespace,  ///< a namespace of its init; the path is one below that one's directory in
                        ///< /proc
  container_root,       ///< "/" as the container's init has it
  directory,            ///< a directory as it is; is fetched
  answers,              ///< the socket by which spawn() answers, where not by the channel
  ending,               ///< the eventfd(2) of the reaper, which spawn() makes
};

struct Passed {
  PassedKind kind = PassedKind::namespace_file;
  std::string path;
  /// Of detached_mount: wire::op_recursive, op_no_follow, op_source_no_symlinks, op_source_beneath.
  std::uint32_t flags = 0;
  std::string origin;  ///< place in config.json
  std::string within;  ///< with op_source_beneath: the directory
  /// detached_mount: index of the passed user namespace that maps its ids, -1: none.
  int id_mapping = -1;
  bool maps_all = false;        ///< so that of all mounts below it, too
  std::vector<IdMapping> uids;  ///< of id_mapping
  std::vector<IdMapping> gids;
};

/// A namespace that is joined before the clone.
struct Join {
  int passed = -1;         ///< index into Plan::passed()
  std::uint64_t type = 0;  ///< CLONE_NEW* (a mask with a pidfd)
};

/// An immutable plan with what the host must do around it.
class Plan {
 public:
  const std::vector<wire::Op>& ops() const noexcept { return ops_; }
  const std::vector<Passed>& passed() const noexcept { return passed_; }
  /// What init fetches from the host, one fetch after the other.
  const std::vector<Passed>& fetched() const noexcept { return fetched_; }
  /// CLONE_NEW* for clone3(2).
  std::uint64_t clone_flags() const noexcept { return clone_flags_; }
  /// What must be joined before the clone, in this order: pid namespaces (they take children only),
  /// a user namespace (the new ones are to belong to it), and before that one the namespaces that
  /// the host alone may enter.
  const std::vector<Join>& joins() const noexcept { return joins_; }
  std::uint32_t preserved_fds() const noexcept { return preserved_fds_; }
  bool has_console() const noexcept { return has_console_; }
  /// Whether the process that spawn() makes ends and leaves the program to a child of its parent's.
  bool appears() const noexcept { return appears_; }
  /// Whether the process that spawn() makes becomes the reaper of the program.
  bool reaps() const noexcept { return reaps_; }

  /// The string at `offset` of the pool.
  const char* text(std::uint32_t offset) const noexcept { return strings_.data() + offset; }
  /// The plan as init reads it (wire.h).
  std::string bytes() const;

  /// One line an op, in the words of mount(8) and of the config; ends with a newline.
  std::string to_text() const;
  /// The same as a JSON object: clone flags, passed fds, ops with origin, text and raw fields.
  std::string to_json() const;
  /// "mount proc on /proc": what the op does, for errors.
  std::string describe(std::size_t op) const;

 private:
  friend class PlanBuilder;
  std::vector<wire::Op> ops_;
  std::vector<Passed> passed_;
  std::vector<Passed> fetched_;
  std::string strings_;
  std::uint64_t clone_flags_ = 0;
  std::vector<Join> joins_;
  std::uint32_t preserved_fds_ = 0;
  bool has_console_ = false;
  bool appears_ = false;
  bool reaps_ = false;
};

/// Type and number of a device as stat(2) has them; the number of a FIFO is 0.
mode_t type_bits(char type);
dev_t device_number(const Device& device);
/// Whether the device is a bind mount of the host's node: in a user namespace mknod(2) makes FIFOs
/// and overlayfs's whiteouts (0:0) only.
bool needs_host_node(const Device& device, const Spec& spec, const Host& host);

/// The plan for creating a container. Pure. `spec` must have passed validate(). Throws
/// `invalid_config` for mount options that contradict each other.
Plan make_plan(const Spec& spec, const Host& host, const PlanOptions& options);
/// The plan for a further process in the container of `spec`.
Plan make_exec_plan(const Process& process, const Spec& spec, const Host& host,
                    const ExecPlanOptions& options);
/// The plan for a hook in the container's namespaces. `before_pivot`: createContainer, whose path
/// is one of the host's; else startContainer, run with the credentials of the container's process.
Plan make_hook_plan(const Hook& hook, const Spec& spec, const Host& host, bool before_pivot,
                    bool pass_root);

/// The plan for an init that makes mounts of a container read-only, and then waits: for one whom
/// criu has restored without.
Plan make_read_only_plan(const std::vector<std::string>& places);

/// The plan for an init that makes the mounts of `spec` in its container, which is there, tells of
/// each, and then waits. `list` is how messages call them.
Plan make_mounts_plan(const Spec& spec, const Host& host, const std::string& list, bool pass_root);
/// The plan for an init that takes one of these away again, by its number, and then waits.
Plan make_unmount_plan(const Spec& spec, const Host& host, const std::string& destination,
                       std::uint64_t number, const std::string& origin, bool pass_root);

/// A program of the host that tare has work done by.
struct ProgramPlanOptions {
  std::string path;  ///< absolute
  std::vector<std::string> args;
  std::vector<std::string> env;
  std::uint32_t preserve_fds = 0;
  /// A directory that it finds mounted, with all below it, at `place`/`name`, in a mount namespace
  /// of its own; empty: the caller's.
  std::string tree;
  std::string place;  ///< absolute directory
  std::string name;
};
/// The plan for one: with the caller's credentials, in the caller's namespaces.
Plan make_program_plan(const ProgramPlanOptions& options);

/// The name of a step's system call ("move_mount"), for errors.
const char* step_name(wire::Step step) noexcept;

}  // namespace tare

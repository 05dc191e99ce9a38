// The code between clone3(2) and execveat(2), which runs in the parent's memory. See
// spawn/vfork_child.cc for its rules.
#pragma once

#include <cstddef>
#include <cstdint>

namespace tare {

/// A namespace that is joined before init is cloned.
struct NamespaceJoin {
  int fd = -1;
  std::uint64_t type = 0;
};

/// The child's input and output. Lives in the parent until the child executes init.
struct VforkChild {
  // The request.
  std::uint64_t clone_flags = 0;  ///< CLONE_NEW*
  int cgroup = -1;                ///< CLONE_INTO_CGROUP, -1: none
  const NamespaceJoin* joins = nullptr;
  std::size_t join_count =
      0;                   ///< more than 0: an intermediate child joins them and clones once more
  int image = -1;          ///< memfd of init
  int* sources = nullptr;  ///< sources[i] becomes fd i
  std::size_t source_count = 0;
  std::uint64_t ambient = 0;  ///< capabilities to keep through an execve(2) as an unmapped user
  char* const* argv = nullptr;
  // The result.
  int pid = -1;
  int pidfd = -1;
  int errnum = 0;              ///< of the step that failed, in either child or in the clone itself
  const char* step = nullptr;  ///< the name of that system call
};

/// A mount to open in a container's mount namespace.
struct MountSource {
  // The request.
  const char* path = nullptr;
  const char* within = nullptr;  ///< the directory that `path` begins at; null: the root
  std::uint64_t resolve = 0;     ///< RESOLVE_* of openat2(2) for `path`
  unsigned tree_flags = 0;       ///< of open_tree(2); 0: the directory itself, O_PATH
  int user_namespace = -1;       ///< maps the ids of the mount (MOUNT_ATTR_IDMAP); -1: none
  bool maps_all = false;         ///< maps the ids of all mounts below it, too
  // The result.
  int fd = -1;
};

/// A visit to another mount namespace, with `root` as the root directory.
struct MountVisit {
  // The request.
  int pidfd = -1;  ///< of a process in that namespace
  int root = -1;   ///< O_PATH
  MountSource* sources = nullptr;
  std::size_t count = 0;
  // The result.
  std::size_t failed = 0;  ///< index of the source that failed; `count`: none did
  int errnum = 0;
  const char* step = nullptr;  ///< the name of the system call that failed
};

/// Opens the sources of `visit` in a child that joins the other namespace; the fds belong to this
/// process. Blocks until then. Follows run_vfork_child()'s rules. Returns false on failure: only
/// fds up to visit.sources[failed].fd are open then.
bool run_mount_visit(MountVisit& visit, void* stack, std::size_t stack_size) noexcept;

/// Returns an rtnetlink(7) socket of another network namespace, opened by a child that joins it, or
/// -errno. Follows run_vfork_child()'s rules.
int open_netlink_socket(int network_namespace, void* stack, std::size_t stack_size) noexcept;

/// Makes a child in a new user namespace that ends at once and stays a zombie until it is waited
/// for. Returns its pid, or -errno. Follows run_vfork_child()'s rules.
int clone_user_namespace(int& pidfd, void* stack, std::size_t stack_size) noexcept;

/// Runs `task`; returns true where init is executing. Blocks until then (CLONE_VFORK). All signals
/// must be blocked. `stack` is the children's stack: `stack_size` bytes, aligned to 16.
bool run_vfork_child(VforkChild& task, void* stack, std::size_t stack_size) noexcept;

}  // namespace tare

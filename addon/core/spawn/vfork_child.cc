// The code between clone3(2) and execveat(2). The child shares its parent's memory (CLONE_VM) while
// the parent's other threads run, so it makes raw system calls only: no errno, no allocation, no
// lock, no libc. Signals are blocked, the clone resets handlers, and the child has its own stack.
#include "spawn/vfork_child.h"

#include <linux/capability.h>
#include <linux/close_range.h>
#include <linux/fcntl.h>
#include <linux/mount.h>
#include <linux/prctl.h>
#include <linux/wait.h>

#include "tare/raw_syscall.h"

namespace tare {
namespace {

[[noreturn]] void leave(int status) noexcept {
  for (;;) {
    sys::call(__NR_exit, status);
  }
}

void fail(VforkChild* task, long result, const char* step) noexcept {
  task->errnum = static_cast<int>(-result);
  task->step = step;
}

// What the intermediate child needs: the task, and a stack for its own child.
struct Work {
  VforkChild* task = nullptr;
  unsigned char* stack = nullptr;
  std::size_t stack_size = 0;
};

bool arrange_fds(VforkChild* task) noexcept {
  const int count = static_cast<int>(task->source_count);
  // Move all sources above the range of the targets first, then duplicate them onto the targets.
  for (int i = 0; i < count; ++i) {
    if (task->sources[i] < count) {
      const long moved = sys::call(__NR_fcntl, task->sources[i], F_DUPFD_CLOEXEC, count);
      if (moved < 0) {
        fail(task, moved, "fcntl");
        return false;
      }
      task->sources[i] = static_cast<int>(moved);
    }
  }
  if (task->image < count) {
    const long moved = sys::call(__NR_fcntl, task->image, F_DUPFD_CLOEXEC, count);
    if (moved < 0) {
      fail(task, moved, "fcntl");
      return false;
    }
    task->image = static_cast<int>(moved);
  }
  for (int i = 0; i < count; ++i) {
    const long result = sys::call(__NR_dup3, task->sources[i], i, 0);
    if (result < 0) {
      fail(task, result, "dup3");
      return false;
    }
  }
  const long result = sys::call(__NR_close_range, count, ~0U, CLOSE_RANGE_CLOEXEC);
  if (result < 0) {
    fail(task, result, "close_range");
    return false;
  }
  return true;
}

// execve(2) does not treat a user id without a mapping as root: permitted capabilities survive only
// as ambient ones.
bool raise_ambient(VforkChild* task) noexcept {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct data[2] = {};
  long result = sys::call(__NR_capget, &header, data);
  if (result >= 0) {
    data[0].inheritable = data[0].permitted;
    data[1].inheritable = data[1].permitted;
    result = sys::call(__NR_capset, &header, data);
  }
  for (int capability = 0; result >= 0 && capability < 64; ++capability) {
    if ((data[capability / 32].permitted >> (capability % 32) & 1) != 0 &&
        (task->ambient >> capability & 1) != 0) {
      result = sys::call(__NR_prctl, PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, capability, 0, 0);
    }
  }
  if (result < 0) {
    fail(task, result, "capset");
    return false;
  }
  return true;
}

void become_init(void* subject) {
  auto* task = static_cast<VforkChild*>(subject);
  if (arrange_fds(task) && (task->ambient == 0 || raise_ambient(task))) {
    static char* const no_environment[1] = {};
    fail(task, sys::call(__NR_execveat, task->image, "", task->argv, no_environment, AT_EMPTY_PATH),
         "execveat");
  }
  leave(127);
}

long clone_init(VforkChild* task, std::uint64_t flags, unsigned char* stack,
                std::size_t size) noexcept {
  clone_args arguments{};
  arguments.flags =
      task->clone_flags | flags | CLONE_VM | CLONE_VFORK | CLONE_PIDFD | CLONE_CLEAR_SIGHAND;
  arguments.pidfd = reinterpret_cast<std::uint64_t>(&task->pidfd);
  arguments.stack = reinterpret_cast<std::uint64_t>(stack);
  arguments.stack_size = size;
  if (task->cgroup >= 0) {
    arguments.flags |= CLONE_INTO_CGROUP;
    arguments.cgroup = static_cast<__u64>(task->cgroup);
  }
  const long pid = sys::clone_onto_stack(arguments, become_init, task);
  if (pid < 0) {
    fail(task, pid, "clone3");
  } else {
    task->pid = static_cast<int>(pid);
  }
  return pid;
}

// The intermediate child: joins the namespaces and makes init its sibling. It shares the fd table,
// so that init's pidfd arrives in the parent's.
void join_and_clone(void* subject) {
  auto* work = static_cast<Work*>(subject);
  VforkChild* task = work->task;
  for (std::size_t i = 0; i < task->join_count; ++i) {
    const long result = sys::call(__NR_setns, task->joins[i].fd, task->joins[i].type);
    if (result < 0) {
      fail(task, result, "setns");
      leave(1);
    }
  }
  clone_init(task, CLONE_PARENT, work->stack, work->stack_size);
  leave(0);
}

// Opens a tree by a path that is resolved with restrictions. Closes the descriptors on the way, as
// the fd table is shared with the parent.
long open_restricted(const MountSource& source, MountVisit* visit) noexcept {
  long within = AT_FDCWD;
  if (source.within != nullptr) {
    visit->step = "openat";
    within = sys::call(__NR_openat, AT_FDCWD, source.within, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (within < 0) {
      return within;
    }
  }
  const bool no_follow = (source.tree_flags & AT_SYMLINK_NOFOLLOW) != 0;
  open_how how{};
  how.flags = O_PATH | O_CLOEXEC | (no_follow ? O_NOFOLLOW : 0);
  how.resolve = source.resolve;
  visit->step = "openat2";
  long result = sys::call(__NR_openat2, within, source.path, &how, sizeof how);
  if (within >= 0) {
    sys::call(__NR_close, within);
  }
  if (result >= 0) {
    const long found = result;
    visit->step = "open_tree";
    result = sys::call(__NR_open_tree, found, "",
                       source.tree_flags | static_cast<unsigned>(AT_EMPTY_PATH));
    sys::call(__NR_close, found);
  }
  return result;
}

long open_path(const MountSource& source, MountVisit* visit) noexcept {
  if (source.resolve != 0) {
    return open_restricted(source, visit);
  }
  if (source.tree_flags != 0) {
    visit->step = "open_tree";
    return sys::call(__NR_open_tree, AT_FDCWD, source.path, source.tree_flags);
  }
  visit->step = "openat";
  return sys::call(__NR_openat, AT_FDCWD, source.path, O_PATH | O_DIRECTORY | O_CLOEXEC);
}

bool open_source(MountSource& source, MountVisit* visit) noexcept {
  const long fd = open_path(source, visit);
  if (fd < 0) {
    visit->errnum = static_cast<int>(-fd);
    return false;
  }
  source.fd = static_cast<int>(fd);
  if (source.user_namespace < 0) {
    return true;
  }
  mount_attr attributes{};
  attributes.attr_set = MOUNT_ATTR_IDMAP;
  attributes.userns_fd = static_cast<__u64>(source.user_namespace);
  const long result =
      sys::call(__NR_mount_setattr, fd, "", AT_EMPTY_PATH | (source.maps_all ? AT_RECURSIVE : 0),
                &attributes, sizeof attributes);
  if (result < 0) {
    visit->errnum = static_cast<int>(-result);
    visit->step = "mount_setattr";
  }
  return result >= 0;
}

// setns(2) sets this process's root to the topmost mount at the root of the joined mount namespace.
// The container's processes may have a different root.
void open_sources(void* subject) {
  auto* visit = static_cast<MountVisit*>(subject);
  long result = sys::call(__NR_setns, visit->pidfd, CLONE_NEWNS);
  visit->step = "setns";
  if (result >= 0) {
    result = sys::call(__NR_fchdir, visit->root);
    visit->step = "fchdir";
  }
  if (result >= 0) {
    result = sys::call(__NR_chroot, ".");
    visit->step = "chroot";
  }
  if (result < 0) {
    visit->errnum = static_cast<int>(-result);
    leave(1);
  }
  for (visit->failed = 0; visit->failed < visit->count; ++visit->failed) {
    if (!open_source(visit->sources[visit->failed], visit)) {
      leave(1);
    }
  }
  leave(0);
}

struct SocketVisit {
  int network_namespace = -1;
  long result = -ESRCH;  ///< where the child is killed
};

void open_socket(void* subject) {
  constexpr long af_netlink = 16;
  constexpr long sock_raw_cloexec = 3 | 02000000;
  auto* visit = static_cast<SocketVisit*>(subject);
  visit->result = sys::call(__NR_setns, visit->network_namespace, CLONE_NEWNET);
  if (visit->result >= 0) {
    visit->result = sys::call(__NR_socket, af_netlink, sock_raw_cloexec, 0 /* NETLINK_ROUTE */);
  }
  leave(0);
}

// Runs a child that shares this process's memory and descriptors; it has ended when this returns.
long run_child(void (*entry)(void*), void* subject, void* stack, std::size_t size) noexcept {
  clone_args arguments{};
  arguments.flags = CLONE_VM | CLONE_VFORK | CLONE_FILES | CLONE_CLEAR_SIGHAND;
  arguments.stack = reinterpret_cast<std::uint64_t>(stack);
  arguments.stack_size = size;
  const long pid = sys::clone_onto_stack(arguments, entry, subject);
  if (pid >= 0) {
    int status = 0;
    sys::call(__NR_wait4, pid, &status, __WALL, nullptr);
  }
  return pid;
}

void leave_at_once(void* /*subject*/) { leave(0); }

}  // namespace

bool run_mount_visit(MountVisit& visit, void* stack, std::size_t stack_size) noexcept {
  visit.failed = visit.count;
  const long pid = run_child(open_sources, &visit, stack, stack_size);
  if (pid < 0) {
    visit.errnum = static_cast<int>(-pid);
    visit.step = "clone3";
  }
  return visit.errnum == 0;
}

int open_netlink_socket(int network_namespace, void* stack, std::size_t stack_size) noexcept {
  SocketVisit visit{network_namespace};
  const long pid = run_child(open_socket, &visit, stack, stack_size);
  return static_cast<int>(pid < 0 ? pid : visit.result);
}

int clone_user_namespace(int& pidfd, void* stack, std::size_t stack_size) noexcept {
  clone_args arguments{};
  arguments.flags = CLONE_NEWUSER | CLONE_VM | CLONE_VFORK | CLONE_PIDFD | CLONE_CLEAR_SIGHAND;
  arguments.pidfd = reinterpret_cast<std::uint64_t>(&pidfd);
  arguments.stack = reinterpret_cast<std::uint64_t>(stack);
  arguments.stack_size = stack_size;
  return static_cast<int>(sys::clone_onto_stack(arguments, leave_at_once, nullptr));
}

bool run_vfork_child(VforkChild& task, void* stack, std::size_t stack_size) noexcept {
  auto* memory = static_cast<unsigned char*>(stack);
  const std::size_t half = stack_size / 2 & ~std::size_t{15};
  if (task.join_count == 0) {
    clone_init(&task, 0, memory, half);
    return task.errnum == 0;
  }
  Work work{&task, memory + half, half};
  clone_args arguments{};
  arguments.flags = CLONE_VM | CLONE_VFORK | CLONE_FILES | CLONE_CLEAR_SIGHAND;
  arguments.stack = reinterpret_cast<std::uint64_t>(memory);
  arguments.stack_size = half;
  const long pid = sys::clone_onto_stack(arguments, join_and_clone, &work);
  if (pid < 0) {
    fail(&task, pid, "clone3");
    return false;
  }
  int status = 0;
  sys::call(__NR_wait4, pid, &status, __WALL, nullptr);
  return task.errnum == 0;
}

}  // namespace tare

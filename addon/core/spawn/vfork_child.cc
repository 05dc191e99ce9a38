// The code between clone3(2) and execveat(2). The child shares its parent's memory (CLONE_VM) while
// the parent's other threads run, so it makes raw system calls only: no errno, no allocation, no
// lock, no libc. Signals are blocked, the clone resets handlers, and the child has its own stack.
#include "spawn/vfork_child.h"

#include <asm/errno.h>
#include <asm/unistd.h>
#include <linux/capability.h>
#include <linux/close_range.h>
#include <linux/fcntl.h>
#include <linux/mount.h>
#include <linux/prctl.h>
#include <linux/sched.h>
#include <linux/wait.h>

namespace tare {
namespace {

long call(long number, long a, long b, long c, long d, long e) noexcept {
#if defined(__x86_64__)
  long result;
  register long r10 __asm__("r10") = d;
  register long r8 __asm__("r8") = e;
  __asm__ volatile("syscall"
                   : "=a"(result)
                   : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8)
                   : "rcx", "r11", "memory");
  return result;
#elif defined(__aarch64__)
  register long x8 __asm__("x8") = number;
  register long x0 __asm__("x0") = a;
  register long x1 __asm__("x1") = b;
  register long x2 __asm__("x2") = c;
  register long x3 __asm__("x3") = d;
  register long x4 __asm__("x4") = e;
  __asm__ volatile("svc #0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4) : "memory");
  return x0;
#else
#error "tare runs on x86_64 and aarch64 only"
#endif
}

// Calls clone3(2). The child calls `entry(subject)` on the stack in `arguments`, and never returns.
long clone_call(clone_args* arguments, void (*entry)(void*), void* subject) noexcept {
#if defined(__x86_64__)
  long result;
  register void (*r12)(void*) __asm__("r12") = entry;
  register void* r13 __asm__("r13") = subject;
  __asm__ volatile(
      "syscall\n\t"
      "test %%rax, %%rax\n\t"
      "jnz 1f\n\t"
      "xor %%ebp, %%ebp\n\t"
      "mov %%r13, %%rdi\n\t"
      "call *%%r12\n\t"
      "hlt\n"
      "1:"
      : "=a"(result)
      : "a"(__NR_clone3), "D"(arguments), "S"(sizeof *arguments), "r"(r12), "r"(r13)
      : "rcx", "r11", "memory");
  return result;
#else
  register long x8 __asm__("x8") = __NR_clone3;
  register long x0 __asm__("x0") = reinterpret_cast<long>(arguments);
  register long x1 __asm__("x1") = sizeof *arguments;
  register void (*x20)(void*) __asm__("x20") = entry;
  register void* x21 __asm__("x21") = subject;
  __asm__ volatile(
      "svc #0\n\t"
      "cbnz x0, 1f\n\t"
      "mov x29, #0\n\t"
      "mov x0, x21\n\t"
      "blr x20\n\t"
      "brk #1\n"
      "1:"
      : "+r"(x0)
      : "r"(x8), "r"(x1), "r"(x20), "r"(x21)
      : "x30", "memory");
  return x0;
#endif
}

[[noreturn]] void leave(int status) noexcept {
  for (;;) {
    call(__NR_exit, status, 0, 0, 0, 0);
  }
}

void fail(StubTask* task, long result, const char* step) noexcept {
  task->errnum = static_cast<int>(-result);
  task->step = step;
}

// What the intermediate child needs: the task, and a stack for its own child.
struct Work {
  StubTask* task = nullptr;
  unsigned char* stack = nullptr;
  std::size_t stack_size = 0;
};

bool arrange_fds(StubTask* task) noexcept {
  const int count = static_cast<int>(task->source_count);
  // Move all sources above the range of the targets first, then duplicate them onto the targets.
  for (int i = 0; i < count; ++i) {
    if (task->sources[i] < count) {
      const long moved = call(__NR_fcntl, task->sources[i], F_DUPFD_CLOEXEC, count, 0, 0);
      if (moved < 0) {
        fail(task, moved, "fcntl");
        return false;
      }
      task->sources[i] = static_cast<int>(moved);
    }
  }
  if (task->image < count) {
    const long moved = call(__NR_fcntl, task->image, F_DUPFD_CLOEXEC, count, 0, 0);
    if (moved < 0) {
      fail(task, moved, "fcntl");
      return false;
    }
    task->image = static_cast<int>(moved);
  }
  for (int i = 0; i < count; ++i) {
    const long result = call(__NR_dup3, task->sources[i], i, 0, 0, 0);
    if (result < 0) {
      fail(task, result, "dup3");
      return false;
    }
  }
  const long result = call(__NR_close_range, count, 0xffffffffL, CLOSE_RANGE_CLOEXEC, 0, 0);
  if (result < 0) {
    fail(task, result, "close_range");
    return false;
  }
  return true;
}

// execve(2) does not treat a user id without a mapping as root: permitted capabilities survive only
// as ambient ones.
bool raise_ambient(StubTask* task) noexcept {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct data[2] = {};
  long result =
      call(__NR_capget, reinterpret_cast<long>(&header), reinterpret_cast<long>(data), 0, 0, 0);
  if (result >= 0) {
    data[0].inheritable = data[0].permitted;
    data[1].inheritable = data[1].permitted;
    result =
        call(__NR_capset, reinterpret_cast<long>(&header), reinterpret_cast<long>(data), 0, 0, 0);
  }
  for (int capability = 0; result >= 0 && capability < 64; ++capability) {
    if ((data[capability / 32].permitted >> (capability % 32) & 1) != 0 &&
        (task->ambient >> capability & 1) != 0) {
      result = call(__NR_prctl, PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, capability, 0, 0);
    }
  }
  if (result < 0) {
    fail(task, result, "capset");
    return false;
  }
  return true;
}

void become_init(void* subject) {
  auto* task = static_cast<StubTask*>(subject);
  if (arrange_fds(task) && (task->ambient == 0 || raise_ambient(task))) {
    static const char empty[1] = {};
    static char* const no_environment[1] = {};
    fail(task,
         call(__NR_execveat, task->image, reinterpret_cast<long>(empty),
              reinterpret_cast<long>(task->argv), reinterpret_cast<long>(no_environment),
              AT_EMPTY_PATH),
         "execveat");
  }
  leave(127);
}

long clone_init(StubTask* task, std::uint64_t flags, unsigned char* stack,
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
  const long pid = clone_call(&arguments, become_init, task);
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
  StubTask* task = work->task;
  for (std::size_t i = 0; i < task->join_count; ++i) {
    const long result =
        call(__NR_setns, task->joins[i].fd, static_cast<long>(task->joins[i].type), 0, 0, 0);
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
long open_restricted(const StubSource& source, StubVisit* visit) noexcept {
  static const char empty[1] = {};
  long within = AT_FDCWD;
  if (source.within != nullptr) {
    visit->step = "openat";
    within = call(__NR_openat, AT_FDCWD, reinterpret_cast<long>(source.within),
                  O_PATH | O_DIRECTORY | O_CLOEXEC, 0, 0);
    if (within < 0) {
      return within;
    }
  }
  const bool no_follow = (source.tree_flags & AT_SYMLINK_NOFOLLOW) != 0;
  open_how how{};
  how.flags = O_PATH | O_CLOEXEC | (no_follow ? O_NOFOLLOW : 0);
  how.resolve = source.resolve;
  visit->step = "openat2";
  long result = call(__NR_openat2, within, reinterpret_cast<long>(source.path),
                     reinterpret_cast<long>(&how), sizeof how, 0);
  if (within >= 0) {
    call(__NR_close, within, 0, 0, 0, 0);
  }
  if (result >= 0) {
    const long found = result;
    visit->step = "open_tree";
    result = call(__NR_open_tree, found, reinterpret_cast<long>(empty),
                  source.tree_flags | static_cast<unsigned>(AT_EMPTY_PATH), 0, 0);
    call(__NR_close, found, 0, 0, 0, 0);
  }
  return result;
}

long open_path(const StubSource& source, StubVisit* visit) noexcept {
  const long path = reinterpret_cast<long>(source.path);
  if (source.resolve != 0) {
    return open_restricted(source, visit);
  }
  if (source.tree_flags != 0) {
    visit->step = "open_tree";
    return call(__NR_open_tree, AT_FDCWD, path, source.tree_flags, 0, 0);
  }
  visit->step = "openat";
  return call(__NR_openat, AT_FDCWD, path, O_PATH | O_DIRECTORY | O_CLOEXEC, 0, 0);
}

bool open_source(StubSource& source, StubVisit* visit) noexcept {
  const long fd = open_path(source, visit);
  if (fd < 0) {
    visit->errnum = static_cast<int>(-fd);
    return false;
  }
  source.fd = static_cast<int>(fd);
  if (source.user_namespace < 0) {
    return true;
  }
  static const char empty[1] = {};
  mount_attr attributes{};
  attributes.attr_set = MOUNT_ATTR_IDMAP;
  attributes.userns_fd = static_cast<__u64>(source.user_namespace);
  const long result = call(__NR_mount_setattr, fd, reinterpret_cast<long>(empty),
                           AT_EMPTY_PATH | (source.maps_all ? AT_RECURSIVE : 0),
                           reinterpret_cast<long>(&attributes), sizeof attributes);
  if (result < 0) {
    visit->errnum = static_cast<int>(-result);
    visit->step = "mount_setattr";
  }
  return result >= 0;
}

// setns(2) sets the root to the topmost mount on the mount namespace's root, which may differ from
// the root of its processes.
void open_sources(void* subject) {
  auto* visit = static_cast<StubVisit*>(subject);
  static const char here[] = ".";
  long result = call(__NR_setns, visit->pidfd, CLONE_NEWNS, 0, 0, 0);
  visit->step = "setns";
  if (result >= 0) {
    result = call(__NR_fchdir, visit->root, 0, 0, 0, 0);
    visit->step = "fchdir";
  }
  if (result >= 0) {
    result = call(__NR_chroot, reinterpret_cast<long>(here), 0, 0, 0, 0);
    visit->step = "chroot";
  }
  if (result >= 0 && visit->propagation != 0) {
    static const char root[] = "/";
    mount_attr attributes{};
    attributes.propagation = visit->propagation;
    result = call(__NR_mount_setattr, AT_FDCWD, reinterpret_cast<long>(root), AT_RECURSIVE,
                  reinterpret_cast<long>(&attributes), sizeof attributes);
    visit->step = "mount_setattr";
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
  visit->result = call(__NR_setns, visit->network_namespace, CLONE_NEWNET, 0, 0, 0);
  if (visit->result >= 0) {
    visit->result = call(__NR_socket, af_netlink, sock_raw_cloexec, 0 /* NETLINK_ROUTE */, 0, 0);
  }
  leave(0);
}

// Runs a child that shares this process's memory and descriptors; it has ended when this returns.
long run_child(void (*entry)(void*), void* subject, void* stack, std::size_t size) noexcept {
  clone_args arguments{};
  arguments.flags = CLONE_VM | CLONE_VFORK | CLONE_FILES | CLONE_CLEAR_SIGHAND;
  arguments.stack = reinterpret_cast<std::uint64_t>(stack);
  arguments.stack_size = size;
  const long pid = clone_call(&arguments, entry, subject);
  if (pid >= 0) {
    int status = 0;
    call(__NR_wait4, pid, reinterpret_cast<long>(&status), static_cast<long>(__WALL), 0, 0);
  }
  return pid;
}

void leave_at_once(void* /*subject*/) { leave(0); }

}  // namespace

bool run_visit(StubVisit& visit, void* stack, std::size_t stack_size) noexcept {
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
  return static_cast<int>(clone_call(&arguments, leave_at_once, nullptr));
}

bool run_stub(StubTask& task, void* stack, std::size_t stack_size) noexcept {
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
  const long pid = clone_call(&arguments, join_and_clone, &work);
  if (pid < 0) {
    fail(&task, pid, "clone3");
    return false;
  }
  int status = 0;
  call(__NR_wait4, pid, reinterpret_cast<long>(&status), static_cast<long>(__WALL), 0, 0);
  return task.errnum == 0;
}

}  // namespace tare

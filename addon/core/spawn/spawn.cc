#include "spawn/spawn.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <linux/securebits.h>
#include <sched.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <mutex>
#include <optional>
#include <utility>

#include "host/remedies.h"
#include "spawn/vfork_child.h"
#include "tare/pidfd.h"
#include "tare/signals.h"
#include "tare/unix_socket.h"

extern "C" const char tare_init_image_start[] __attribute__((visibility("hidden")));
extern "C" const char tare_init_image_end[] __attribute__((visibility("hidden")));

namespace tare {
namespace {

constexpr std::size_t stub_stack_size = std::size_t{32} << 10;

/// Joins a pid namespace with setns(2), which affects only this thread's next children, and undoes
/// it in the destructor.
class PidNamespaceForChildren {
 public:
  PidNamespaceForChildren(int fd, std::uint64_t type) {
    // With a pidfd, setns(2) joins the namespace that the process itself is in.
    own_ = open_pidfd(getpid());
    if (!own_) {
      throw_errno("pidfd_open", "this process");
    }
    if (setns(fd, static_cast<int>(type)) < 0) {
      throw_errno("setns", "the container's pid namespace");
    }
  }
  ~PidNamespaceForChildren() { setns(own_.get(), CLONE_NEWPID); }
  PidNamespaceForChildren(const PidNamespaceForChildren&) = delete;
  PidNamespaceForChildren& operator=(const PidNamespaceForChildren&) = delete;

 private:
  Fd own_;
};

/// Joins a time namespace, and undoes it in the destructor. setns(2) fails with EUSERS in a process
/// that shares its memory with another, so this process joins it, and not the CLONE_VFORK child,
/// which inherits it.
class TimeNamespace {
 public:
  explicit TimeNamespace(int fd) : own_(open_file(AT_FDCWD, "/proc/self/ns/time", O_RDONLY)) {
    if (setns(fd, CLONE_NEWTIME) < 0) {
      const int error = errno;
      own_.reset();
      throw Error(
          ErrorKind::system,
          "setns: the time namespace: " + errno_text(error) +
              (error == EUSERS ? "; beside a user namespace that it does not belong to, only "
                                 "a process with one thread can join it: use the command "
                                 "line"
                               : ""))
          .with_errno(error, "setns");
    }
  }
  ~TimeNamespace() { setns(own_.get(), CLONE_NEWTIME); }
  TimeNamespace(const TimeNamespace&) = delete;
  TimeNamespace& operator=(const TimeNamespace&) = delete;

 private:
  Fd own_;
};

/// Makes this process undumpable. A child that joins namespaces is among the container's processes
/// and shares this process's memory until it executes init: a tracer in the container could write
/// to it. To trace an undumpable process takes CAP_SYS_PTRACE in the user namespace in which it was
/// executed: see ptrace(2), "Ptrace access mode checking". With several threads, this ends with the
/// last one's child.
class Undumpable {
 public:
  Undumpable() {
    const std::lock_guard lock(mutex);
    if (inside++ == 0) {
      before = prctl(PR_GET_DUMPABLE, 0, 0, 0, 0);
      prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
    }
  }
  ~Undumpable() {
    const std::lock_guard lock(mutex);
    if (--inside == 0 && before == 1) {
      prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
    }
  }
  Undumpable(const Undumpable&) = delete;
  Undumpable& operator=(const Undumpable&) = delete;

 private:
  static inline std::mutex mutex;
  static inline int inside = 0;
  static inline int before = 0;
};

/// Lets the calling thread make user namespaces that belong to another uid: the owner is the
/// effective uid of the maker. The kernel charges what is used up in a namespace (inotify instances
/// and watches, pending signals, locked memory, further namespaces) to its owner too: a single
/// container owned by root could use up the limits of root and of all others. The real uid changes
/// as well: before Linux 6.16, execve(2) with different real and effective uids counts as that of a
/// set-id program, and init loses its ambient capabilities. The file system uid stays, as it is
/// used to enter the cgroup.
class NamespaceOwner {
 public:
  explicit NamespaceOwner(uid_t owner) : securebits_(prctl(PR_GET_SECUREBITS, 0, 0, 0, 0)) {
    // Without it the thread would lose its capabilities when its uid changes.
    changed_ = prctl(PR_SET_SECUREBITS, securebits_ | SECBIT_NO_SETUID_FIXUP, 0, 0, 0) == 0;
    if (changed_) {
      // glibc's wrappers change the uids of all threads.
      syscall(SYS_setresuid, owner, owner, -1);
      syscall(SYS_setfsuid, root_);
    }
  }
  ~NamespaceOwner() {
    if (changed_) {
      syscall(SYS_setresuid, real_, root_, -1);
      prctl(PR_SET_SECUREBITS, securebits_, 0, 0, 0);
    }
  }
  NamespaceOwner(const NamespaceOwner&) = delete;
  NamespaceOwner& operator=(const NamespaceOwner&) = delete;

 private:
  Undumpable undumpable_;  ///< the kernel clears the flag when an effective uid changes
  uid_t real_ = getuid();
  uid_t root_ = geteuid();
  int securebits_;
  bool changed_ = false;
};

/// init's image and its plan: see wire.h.
struct Program {
  Fd memfd;        ///< empty where the kept image is used
  int image = -1;  ///< fd of the image
  std::size_t plan_offset = 0;
  std::size_t plan_size = 0;
};

bool joins(const Plan& plan, std::uint64_t type) {
  return std::ranges::any_of(plan.joins(),
                             [type](const Join& join) { return (join.type & type) != 0; });
}

bool makes_user_namespace(const Plan& plan) { return (plan.clone_flags() & CLONE_NEWUSER) != 0; }

/// Capabilities of a user namespace's root that no init op needs.
constexpr int idle_capabilities[] = {
    CAP_KILL,
    CAP_LINUX_IMMUTABLE,
    CAP_NET_BIND_SERVICE,
    CAP_NET_BROADCAST,
    CAP_NET_RAW,
    CAP_IPC_LOCK,
    CAP_IPC_OWNER,
    CAP_SYS_MODULE,
    CAP_SYS_RAWIO,
    CAP_SYS_PACCT,
    CAP_SYS_BOOT,
    CAP_SYS_TTY_CONFIG,
    CAP_LEASE,
    CAP_AUDIT_WRITE,
    CAP_AUDIT_CONTROL,
    CAP_MAC_OVERRIDE,
    CAP_SYSLOG,
    CAP_WAKE_ALARM,
    CAP_BLOCK_SUSPEND,
    CAP_AUDIT_READ,
    CAP_PERFMON,
    CAP_BPF,
    CAP_CHECKPOINT_RESTORE,
};

/// Returns the capabilities that init keeps. Raising one costs the kernel a copy of the process's
/// credentials.
std::uint64_t capabilities_of(const Plan& plan) {
  std::uint64_t idle = 0;
  for (const int capability : idle_capabilities) {
    idle |= std::uint64_t{1} << capability;
  }
  bool sets_them = false;
  std::uint64_t wanted = 0;
  for (const wire::Op& op : plan.ops()) {
    if (op.code == wire::OpCode::capabilities) {
      sets_them = true;
      wanted |= op.a | op.b | op.c | op.d;
    }
  }
  return sets_them ? wanted | ~idle : ~std::uint64_t{0};
}

/// Whether the program can have CAP_SYS_PTRACE, with which it could trace the reaper.
bool may_trace_reaper(const Plan& plan) {
  constexpr std::uint64_t tracing = std::uint64_t{1} << CAP_SYS_PTRACE;
  return plan.reaps() && std::ranges::any_of(plan.ops(), [](const wire::Op& op) {
           return (op.code == wire::OpCode::bounding_set && (op.a & tracing) != 0) ||
                  (op.code == wire::OpCode::capabilities && (op.b & tracing) != 0);
         });
}

/// Whether other processes may see init and have all capabilities in its user namespace. In a
/// joined namespace, its own processes may; in a new one, any process of the host's root, also one
/// in a container. For an ordinary user, only the user's own processes have them.
bool may_be_traced(const Plan& plan) {
  return geteuid() == 0 &&
         (joins(plan, CLONE_NEWUSER) ||
          (makes_user_namespace(plan) && (joins(plan, CLONE_NEWPID) || may_trace_reaper(plan))));
}

/// A program file that its process may not read makes the process undumpable from execve(2) on, and
/// its memory belongs to the user namespace in which the file's owner is mapped. Root of another
/// user namespace has no rights there. Root on the host can read the file nevertheless.
void make_unreadable(const Fd& program) {
  if (fchmod(program.get(), 0100) < 0) {
    throw_errno("fchmod", "memfd");
  }
}

std::atomic<bool> keeps_image = false;

std::string_view image_bytes() {
  return {tare_init_image_start,
          static_cast<std::size_t>(tare_init_image_end - tare_init_image_start)};
}

/// Sealed, so that no process that executes it can change what others execute.
int kept_image() {
  // Never destroyed: threads may need it while the process ends.
  static const Fd* const image = new Fd(sealed_memfd("tare-init", {{0, image_bytes()}}));
  return image->get();
}

/// Returns false where the plan is larger than the socket takes at once.
bool send_ahead(const Fd& channel, std::string_view plan) {
  return send_message(channel.get(), plan, {}, MSG_DONTWAIT) == 0;
}

Program make_program(const Plan& plan, const Fd& channel) {
  const std::string bytes = plan.bytes();
  Program program;
  program.plan_size = bytes.size();
  const bool traced = may_be_traced(plan);
  if (keeps_image && !traced && send_ahead(channel, bytes)) {
    program.image = kept_image();
    return program;
  }
  const std::string_view image = image_bytes();
  const auto page = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
  program.plan_offset = (image.size() + page - 1) / page * page;
  program.memfd = sealed_memfd("tare-init", {{0, image}, {program.plan_offset, bytes}});
  program.image = program.memfd.get();
  if (traced) {
    make_unreadable(program.memfd);
  }
  return program;
}

Fd dev_null() { return open_file(AT_FDCWD, "/dev/null", O_RDWR); }

/// Makes the kernel attach the sender's credentials to each message: see unix(7).
void ask_for_credentials(const Fd& socket) {
  const int on = 1;
  if (setsockopt(socket.get(), SOL_SOCKET, SO_PASSCRED, &on, sizeof on) < 0) {
    throw_errno("setsockopt", "init's channel");
  }
}

/// Returns the index of the passed fd of a kind that occurs at most once.
std::optional<std::size_t> find_passed(const Plan& plan, PassedKind kind) {
  const auto found = std::ranges::find(plan.passed(), kind, &Passed::kind);
  if (found == plan.passed().end()) {
    return std::nullopt;
  }
  return static_cast<std::size_t>(found - plan.passed().begin());
}

Fd make_ending() {
  Fd ending(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!ending) {
    throw_errno("eventfd");
  }
  return ending;
}

/// Returns the source of each fd of the child: stdio, preserved fds, image, channel, passed fds.
std::vector<int> fd_sources(const SpawnOptions& options, int null, int image, int channel) {
  std::vector<int> sources;
  for (const int fd : options.stdio) {
    sources.push_back(fd >= 0 ? fd : null);
  }
  sources.insert(sources.end(), options.preserved.begin(), options.preserved.end());
  sources.push_back(image);
  sources.push_back(channel);
  sources.insert(sources.end(), options.passed.begin(), options.passed.end());
  return sources;
}

void run_blocked(StubTask& task, void* stack) {
  const BlockedSignals blocked;
  run_stub(task, stack, stub_stack_size);
}

void run_with_joins(const Plan& plan, const SpawnOptions& options, StubTask& task, void* stack) {
  const Undumpable undumpable;
  std::vector<StubJoin> joins;
  std::optional<TimeNamespace> time;
  for (const Join& join : plan.joins()) {
    const int fd = options.passed[static_cast<std::size_t>(join.passed)];
    if (join.type == CLONE_NEWTIME) {
      time.emplace(fd);
    } else {
      joins.push_back({fd, join.type});
    }
  }
  if (joins.size() == 1 && joins.front().type == CLONE_NEWPID) {
    const PidNamespaceForChildren inside(joins.front().fd, joins.front().type);
    run_blocked(task, stack);
    return;
  }
  task.joins = joins.data();
  task.join_count = joins.size();
  run_blocked(task, stack);
}

}  // namespace

namespace {

Error clone_error(const Plan& plan, const StubTask& task) {
  std::string message = std::string(task.step) + ": " + errno_text(task.errnum);
  const bool new_user_namespace = makes_user_namespace(plan);
  const std::string remedy =
      new_user_namespace || task.errnum == ENOSPC ? user_namespace_remedy(task.errnum) : "";
  if (!remedy.empty()) {
    message += remedy;
  } else if (task.errnum == EPERM && new_user_namespace) {
    message +=
        "; the kernel allows no new user namespace from within a chroot, and a seccomp filter or "
        "security module may forbid it";
  } else if (task.errnum == EPERM) {
    message +=
        "; new namespaces need CAP_SYS_ADMIN: run as root, or with a user namespace (`tare spec "
        "--rootless`)";
  }
  Error error(ErrorKind::system, message);
  error.with_errno(task.errnum, task.step);
  return error;
}

}  // namespace

void keep_init_image() noexcept { keeps_image = true; }

InitProcess spawn(const Plan& plan, const SpawnOptions& options) {
  const ErrorContext context("start init");
  if (options.preserved.size() != plan.preserved_fds() ||
      options.passed.size() != plan.passed().size()) {
    throw Error(ErrorKind::invalid_argument, "the fds given do not match the plan");
  }
  auto [channel, theirs] = make_socket_pair();
  InitProcess init;
  init.plan_ = &plan;
  init.channel_ = std::move(channel);
  if (plan.appears()) {
    ask_for_credentials(init.channel_);
  }
  const Program program = make_program(plan, init.channel_);
  Fd null;
  for (const int fd : options.stdio) {
    if (fd < 0 && !null) {
      null = dev_null();
    }
  }
  std::vector<int> sources = fd_sources(options, null.get(), program.image, theirs.get());
  const std::size_t first_passed = sources.size() - plan.passed().size();
  Fd their_answers;
  // A plan without this socket gets its answers through the channel.
  if (const auto index = find_passed(plan, PassedKind::answers)) {
    std::tie(init.answers_, their_answers) = make_socket_pair();
    sources[first_passed + *index] = their_answers.get();
  }
  if (const auto index = find_passed(plan, PassedKind::ending)) {
    init.ending_ = make_ending();
    sources[first_passed + *index] = init.ending_.get();
  }

  std::array<std::string, 4> arguments = {"tare-init", std::to_string(3 + plan.preserved_fds()),
                                          std::to_string(program.plan_offset),
                                          std::to_string(program.plan_size)};
  std::array<char*, 5> argv{};
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    argv[i] = arguments[i].data();
  }
  alignas(16) std::array<unsigned char, stub_stack_size> stack;

  StubTask task;
  task.clone_flags = plan.clone_flags();
  task.cgroup = options.cgroup;
  task.image = program.image;
  task.sources = sources.data();
  task.source_count = sources.size();
  task.argv = argv.data();
  if (makes_user_namespace(plan) || joins(plan, CLONE_NEWUSER)) {
    task.ambient = capabilities_of(plan);
  }
  std::optional<NamespaceOwner> owner;
  if (options.namespace_owner != 0 && makes_user_namespace(plan)) {
    owner.emplace(options.namespace_owner);
  }
  if (plan.joins().empty()) {
    run_blocked(task, stack.data());
  } else {
    run_with_joins(plan, options, task, stack.data());
  }
  owner.reset();
  // From here on init alone has its ends, so that the channels close when it ends.
  theirs.reset();
  their_answers.reset();
  init.pid_ = task.pid;
  init.parent_ = static_cast<pid_t>(syscall(SYS_gettid));
  init.pidfd_ = Fd(task.pidfd);
  if (task.errnum != 0) {
    throw clone_error(plan, task);
  }
  if (!init.pidfd_) {
    throw Error(ErrorKind::system, "intermediate process was killed before starting init");
  }
  return init;
}

Fd open_root_of(pid_t pid) {
  const std::string path = "/proc/" + std::to_string(pid) + "/root";
  Fd root = open_or_none(AT_FDCWD, path.c_str(), O_PATH | O_DIRECTORY);
  // The process has ended, or the caller may not look at it.
  if (!root && errno != ENOENT && errno != ESRCH && errno != EACCES && errno != EPERM) {
    throw_errno("open", path);
  }
  return root;
}

Fd open_namespace_of(pid_t pid, int pidfd, const std::string& path) {
  Fd file = open_file(AT_FDCWD, "/proc/" + std::to_string(pid) + "/" + path, O_RDONLY);
  // The process is not reaped yet, so the pid still referred to it when the file was opened.
  if (const int error = try_signal(pidfd, 0)) {
    throw_errno(error, "pidfd_send_signal", "process " + std::to_string(pid));
  }
  return file;
}

}  // namespace tare

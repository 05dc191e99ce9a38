#include "spawn/spawn.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <sched.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <optional>
#include <utility>

#include "host/remedies.h"
#include "spawn/caller_state.h"
#include "spawn/init_image.h"
#include "spawn/vfork_child.h"
#include "tare/pidfd.h"
#include "tare/signals.h"
#include "tare/unix_socket.h"

namespace tare {
namespace {

constexpr std::size_t vfork_stack_size = std::size_t{32} << 10;

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

/// Opens /dev/null if a standard stream needs it.
Fd null_for_stdio(const SpawnOptions& options) {
  const bool needed = std::ranges::any_of(options.stdio, [](int fd) { return fd < 0; });
  return needed ? open_file(AT_FDCWD, "/dev/null", O_RDWR) : Fd();
}

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

void run_blocked(VforkChild& task, void* stack) {
  const BlockedSignals blocked;
  run_vfork_child(task, stack, vfork_stack_size);
}

void run_with_joins(const Plan& plan, const SpawnOptions& options, VforkChild& task, void* stack) {
  const Undumpable undumpable;
  std::vector<NamespaceJoin> joins;
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

Error clone_error(const Plan& plan, const VforkChild& task) {
  std::string message = std::string(task.step) + ": " + errno_text(task.errnum);
  const bool new_user_namespace = makes_user_namespace(plan);
  const std::string remedy =
      new_user_namespace || task.errnum == ENOSPC ? user_namespace_remedy(task.errnum) : "";
  if (!remedy.empty()) {
    message += remedy;
  } else if (task.errnum == EBUSY && task.cgroup >= 0) {
    message += busy_cgroup_remedy();
  } else if (task.errnum == EPERM && new_user_namespace) {
    message +=
        "; the kernel does not create user namespaces from within a chroot, and a seccomp filter "
        "or security module may forbid it";
  } else if (task.errnum == EPERM) {
    message +=
        "; new namespaces need CAP_SYS_ADMIN: run as root, or with a user namespace (`tare spec "
        "--rootless`)";
  }
  Error error(ErrorKind::system, message);
  error.with_errno(task.errnum, task.step);
  return error;
}

/// Runs the child until it executes init, or has failed.
void clone_child(const Plan& plan, const SpawnOptions& options, VforkChild& task) {
  if (makes_user_namespace(plan) || joins(plan, CLONE_NEWUSER)) {
    task.ambient = capabilities_of(plan);
  }
  std::optional<NamespaceOwner> owner;
  if (options.namespace_owner != 0 && makes_user_namespace(plan)) {
    owner.emplace(options.namespace_owner);
  }
  alignas(16) std::array<unsigned char, vfork_stack_size> stack;
  if (plan.joins().empty()) {
    run_blocked(task, stack.data());
  } else {
    run_with_joins(plan, options, task, stack.data());
  }
}

}  // namespace

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
  if (plan.forks_into_pidns()) {
    ask_for_credentials(init.channel_);
  }
  const InitImage program = make_init_image(plan, init.channel_);
  const Fd null = null_for_stdio(options);
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

  VforkChild task;
  task.clone_flags = plan.clone_flags();
  task.cgroup = options.cgroup;
  task.image = program.image;
  task.sources = sources.data();
  task.source_count = sources.size();
  task.argv = argv.data();
  clone_child(plan, options, task);
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
  const std::string name = "/proc/" + std::to_string(pid) + "/" + path;
  Fd file = open_or_none(AT_FDCWD, name.c_str(), O_RDONLY);
  if (!file) {
    // A process that is ending has no namespaces already before its pidfd reports the end.
    throw_errno(errno == ENOENT ? ESRCH : errno, "open", name);
  }
  // The process is not reaped yet, so the pid still referred to it when the file was opened.
  if (const int error = try_signal(pidfd, 0)) {
    throw_errno(error, "pidfd_send_signal", "process " + std::to_string(pid));
  }
  return file;
}

}  // namespace tare

#include "tare/spawn.h"

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <mutex>
#include <optional>
#include <utility>

#include "spawn_signals.h"
#include "stub.h"
#include "user_namespaces.h"

extern "C" const char tare_init_image_start[] __attribute__((visibility("hidden")));
extern "C" const char tare_init_image_end[] __attribute__((visibility("hidden")));

namespace tare {
namespace {

constexpr std::size_t stub_stack_size = std::size_t{32} << 10;

/// setns(2) into a pid namespace holds for this thread's next children, and is taken back
/// afterwards.
class PidNamespaceForChildren {
 public:
  PidNamespaceForChildren(int fd, std::uint64_t type) {
    // setns(2) takes it for the namespace that the process itself is in.
    own_ = Fd(static_cast<int>(syscall(SYS_pidfd_open, getpid(), 0)));
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

/// A time namespace is joined by a process that shares its memory with nobody (EUSERS), so by this
/// one and not by a child of vfork(2)'s kind, which inherits it. Taken back afterwards.
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

/// The child of a join is among the container's processes and has this process's memory until it
/// executes init. Who may trace it there could write to that, were it not undumpable; then it takes
/// CAP_SYS_PTRACE in the user namespace that this process was executed in. See ptrace(2), "Ptrace
/// access mode checking". With several threads it ends with the last one's child.
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

/// init's image and its plan: see wire.h.
struct Program {
  Fd memfd;
  std::size_t plan_offset = 0;
  std::size_t plan_size = 0;
};

bool joins(const Plan& plan, std::uint64_t type) {
  return std::ranges::any_of(plan.joins(),
                             [type](const Join& join) { return (join.type & type) != 0; });
}

bool makes_user_namespace(const Plan& plan) { return (plan.clone_flags() & CLONE_NEWUSER) != 0; }

/// Whether there may be others who see init and have all capabilities in its user namespace: those
/// of a namespace that is joined, and of a new one every root of the host's, also one in a
/// container. To an ordinary user it is his own processes that have them.
bool may_be_traced(const Plan& plan) {
  return geteuid() == 0 &&
         (joins(plan, CLONE_NEWUSER) || (makes_user_namespace(plan) && joins(plan, CLONE_NEWPID)));
}

/// A program that its process may not read is undumpable from its execve(2) on, and its memory
/// belongs to the user namespace in which the file's owner is known: there, root of another one has
/// no rights. To root of the host it is readable all the same.
void make_unreadable(const Fd& program) {
  if (fchmod(program.get(), 0100) < 0) {
    throw_errno("fchmod", "memfd");
  }
}

Program make_program(const Plan& plan) {
  const std::string_view image(
      tare_init_image_start, static_cast<std::size_t>(tare_init_image_end - tare_init_image_start));
  const auto page = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
  const std::string bytes = plan.bytes();
  Program program;
  program.plan_offset = (image.size() + page - 1) / page * page;
  program.plan_size = bytes.size();
  program.memfd = sealed_memfd("tare-init", {{0, image}, {program.plan_offset, bytes}}, true);
  if (may_be_traced(plan)) {
    make_unreadable(program.memfd);
  }
  return program;
}

Fd dev_null() { return open_file(AT_FDCWD, "/dev/null", O_RDWR); }

std::pair<Fd, Fd> make_channel() {
  std::array<int, 2> ends{};
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends.data()) < 0) {
    throw_errno("socketpair");
  }
  return {Fd(ends[0]), Fd(ends[1])};
}

/// Whose words they are comes with them, from the kernel: see unix(7).
void ask_for_credentials(const Fd& socket) {
  const int on = 1;
  if (setsockopt(socket.get(), SOL_SOCKET, SO_PASSCRED, &on, sizeof on) < 0) {
    throw_errno("setsockopt", "init's channel");
  }
}

/// Index of what answers are to come by; empty: by the channel.
std::optional<std::size_t> answers_of(const Plan& plan) {
  const auto found = std::ranges::find(plan.passed(), PassedKind::answers, &Passed::kind);
  if (found == plan.passed().end()) {
    return std::nullopt;
  }
  return static_cast<std::size_t>(found - plan.passed().begin());
}

/// Where each fd of the child comes from: stdio, preserved, the plan, the channel, what is passed.
std::vector<int> fd_sources(const SpawnOptions& options, int null, int plan, int channel) {
  std::vector<int> sources;
  for (const int fd : options.stdio) {
    sources.push_back(fd >= 0 ? fd : null);
  }
  sources.insert(sources.end(), options.preserved.begin(), options.preserved.end());
  sources.push_back(plan);
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
        "; the kernel lets nobody make a user namespace from within a chroot, and a seccomp filter "
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

}  // namespace

InitProcess spawn(const Plan& plan, const SpawnOptions& options) {
  const Doing doing("start init");
  if (options.preserved.size() != plan.preserved_fds() ||
      options.passed.size() != plan.passed().size()) {
    throw Error(ErrorKind::invalid_argument, "the fds given do not match the plan");
  }
  auto [channel, theirs] = make_channel();
  InitProcess init;
  init.plan_ = &plan;
  init.channel_ = std::move(channel);
  if (plan.appears()) {
    ask_for_credentials(init.channel_);
  }
  const Program program = make_program(plan);
  Fd null;
  for (const int fd : options.stdio) {
    if (fd < 0 && !null) {
      null = dev_null();
    }
  }
  std::vector<int> sources = fd_sources(options, null.get(), program.memfd.get(), theirs.get());
  Fd their_answers;
  if (const auto index = answers_of(plan)) {
    std::tie(init.answers_, their_answers) = make_channel();
    sources[sources.size() - plan.passed().size() + *index] = their_answers.get();
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
  task.image = program.memfd.get();
  task.sources = sources.data();
  task.source_count = sources.size();
  task.argv = argv.data();
  task.raise_ambient = makes_user_namespace(plan) || joins(plan, CLONE_NEWUSER);
  if (plan.joins().empty()) {
    run_blocked(task, stack.data());
  } else {
    run_with_joins(plan, options, task, stack.data());
  }
  // Their ends are init's alone from here on: a channel without it must end.
  theirs.reset();
  their_answers.reset();
  init.pid_ = task.pid;
  init.pidfd_ = Fd(task.pidfd);
  if (task.errnum != 0) {
    throw clone_error(plan, task);
  }
  if (!init.pidfd_) {
    throw Error(ErrorKind::system, "who was to start it was killed");
  }
  return init;
}

namespace {

void reap(idtype_t kind, int id) {
  siginfo_t info;
  while (waitid(kind, static_cast<id_t>(id), &info, WEXITED | __WALL) < 0 && errno == EINTR) {
  }
}

/// False where it is not this process's to kill, but ends by itself, as nobody answers it any more.
bool kill_and_reap(int pidfd) {
  if (syscall(SYS_pidfd_send_signal, pidfd, SIGKILL, nullptr, 0) < 0 && errno != ESRCH) {
    return false;
  }
  reap(P_PIDFD, pidfd);
  return true;
}

}  // namespace

InitProcess::~InitProcess() {
  if (pidfd_ && kill_and_reap(pidfd_.get()) && plan_->appears() && !appeared_) {
    reap_unknown();
  }
}

/// A child that has left its maker tells of itself before anything else.
void InitProcess::reap_unknown() {
  answers_.reset();
  try {
    wire::Report report;
    Fd fd;
    while (!appeared_ && receive(report, fd)) {
    }
  } catch (const Error&) {
    return;  // there is none that this could know of
  }
  if (appeared_) {
    kill_and_reap(pidfd_.get());
  }
}

/// Goes on with the process that has appeared: a child of this one's, as whom it names cannot be
/// anybody else.
void InitProcess::follow(pid_t pid) {
  const char* const who = "the process that has appeared";
  siginfo_t info{};
  while (waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED | WNOHANG | WNOWAIT | __WALL) < 0) {
    if (errno != EINTR) {
      throw_errno("waitid", who);
    }
  }
  Fd pidfd(static_cast<int>(syscall(SYS_pidfd_open, pid, 0)));
  if (!pidfd) {
    const int error = errno;
    // Nobody else reaps it, so that the number is still its.
    kill(pid, SIGKILL);
    reap(P_PID, pid);
    throw_errno(error, "pidfd_open", who);
  }
  appeared_ = true;
  // It ends at once when it has made the other.
  reap(P_PIDFD, pidfd_.get());
  pidfd_ = std::move(pidfd);
  pid_ = pid;
}

Fd InitProcess::release() {
  channel_.reset();
  answers_.reset();
  return std::move(pidfd_);
}

void InitProcess::answer(wire::WaitTag tag) {
  wire::Answer answer;
  answer.go = static_cast<std::uint32_t>(tag);
  if (tag == wire::WaitTag::listener) {
    // As long as anybody has it, who is asked about waits for an answer.
    listener_.reset();
  }
  ssize_t sent = 0;
  do {
    sent = send(answers_ ? answers_.get() : channel_.get(), &answer, sizeof answer, MSG_NOSIGNAL);
  } while (sent < 0 && errno == EINTR);
  // EPIPE: init has ended, and next_wait() knows why.
  if (sent < 0 && errno != EPIPE && errno != ECONNRESET) {
    throw_errno("send", "init's channel");
  }
}

void InitProcess::send_mounts(const std::vector<int>& fds) {
  wire::Answer answer;
  answer.go = static_cast<std::uint32_t>(wire::WaitTag::mounts);
  iovec vector{&answer, sizeof answer};
  const std::size_t size = fds.size() * sizeof(int);
  alignas(cmsghdr) std::array<char, CMSG_SPACE(wire::most_fetched * sizeof(int))> control{};
  msghdr header{};
  header.msg_iov = &vector;
  header.msg_iovlen = 1;
  header.msg_control = control.data();
  header.msg_controllen = CMSG_SPACE(size);
  cmsghdr* message = CMSG_FIRSTHDR(&header);
  message->cmsg_level = SOL_SOCKET;
  message->cmsg_type = SCM_RIGHTS;
  message->cmsg_len = CMSG_LEN(size);
  std::memcpy(CMSG_DATA(message), fds.data(), size);
  ssize_t sent = 0;
  do {
    sent = sendmsg(channel_.get(), &header, MSG_NOSIGNAL);
  } while (sent < 0 && errno == EINTR);
  if (sent < 0 && errno != EPIPE && errno != ECONNRESET) {
    throw_errno("sendmsg", "init's channel");
  }
}

/// One message and the fd that came with it. False at the end of the channel.
bool InitProcess::receive(wire::Report& report, Fd& fd) {
  iovec vector{&report, sizeof report};
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int)) + CMSG_SPACE(sizeof(ucred))> control{};
  msghdr header{};
  header.msg_iov = &vector;
  header.msg_iovlen = 1;
  header.msg_control = control.data();
  header.msg_controllen = control.size();
  ssize_t got = 0;
  // ECONNRESET tells once that init closed the channel with an answer unread; what it had sent is
  // still there.
  do {
    got = recvmsg(channel_.get(), &header, MSG_CMSG_CLOEXEC);
  } while (got < 0 && (errno == EINTR || errno == ECONNRESET));
  if (got < 0) {
    throw_errno("recvmsg", "init's channel");
  }
  pid_t sender = pid_;
  for (cmsghdr* message = CMSG_FIRSTHDR(&header); message != nullptr;
       message = CMSG_NXTHDR(&header, message)) {
    if (message->cmsg_level == SOL_SOCKET && message->cmsg_type == SCM_RIGHTS) {
      int raw = -1;
      std::memcpy(&raw, CMSG_DATA(message), sizeof raw);
      fd = Fd(raw);
    } else if (message->cmsg_level == SOL_SOCKET && message->cmsg_type == SCM_CREDENTIALS) {
      ucred credentials{};
      std::memcpy(&credentials, CMSG_DATA(message), sizeof credentials);
      sender = credentials.pid;
    }
  }
  const bool whole = got == static_cast<ssize_t>(sizeof report);
  if (whole && sender != pid_ && plan_->appears() && !appeared_) {
    follow(sender);
  }
  return whole;
}

namespace {

/// What became of an init that closed its channel without a word. It is ending, so this waits for
/// it. `leaves`: when all is well, and then to a child that was to say so.
std::string early_end(int pidfd, bool leaves) {
  siginfo_t info{};
  while (waitid(P_PIDFD, static_cast<id_t>(pidfd), &info, WEXITED | WNOWAIT | __WALL) < 0) {
    if (errno != EINTR) {
      throw_errno("waitid", "init");
    }
  }
  if (leaves && info.si_code == CLD_EXITED && info.si_status == 0) {
    return "init was killed as it came into the container's pid namespace";
  }
  if (info.si_code == CLD_KILLED || info.si_code == CLD_DUMPED) {
    std::string text = "init was killed by signal " + std::to_string(info.si_status);
    if (info.si_status == SIGKILL) {
      text += "; is linux.resources.memory.limit too small for the container to start?";
    }
    return text;
  }
  return "init ended early with status " + std::to_string(info.si_status);
}

}  // namespace

std::optional<wire::WaitTag> InitProcess::next_wait() {
  for (;;) {
    wire::Report report;
    Fd fd;
    if (!receive(report, fd)) {
      if (!executing_) {
        throw Error(ErrorKind::system, early_end(pidfd_.get(), plan_->appears() && !appeared_));
      }
      return std::nullopt;
    }
    if (executing_ && report.kind != wire::ReportKind::failed) {
      throw Error(ErrorKind::system, "init says more when all is said");
    }
    switch (report.kind) {
      case wire::ReportKind::waiting:
        return static_cast<wire::WaitTag>(report.value);
      case wire::ReportKind::console:
        console_ = std::move(fd);
        break;
      case wire::ReportKind::listener:
        listener_ = std::move(fd);
        return wire::WaitTag::listener;
      case wire::ReportKind::executing:
        executing_ = true;
        break;
      case wire::ReportKind::failed:
        report.detail[sizeof report.detail - 1] = '\0';
        throw init_error(*plan_, report.op, static_cast<int>(report.value),
                         static_cast<wire::Step>(report.step), report.detail);
    }
  }
}

void InitProcess::await(wire::WaitTag tag) {
  for (std::optional<wire::WaitTag> now = next_wait(); now != tag; now = next_wait()) {
    if (!now) {
      throw Error(ErrorKind::system, "init went on without waiting");
    }
  }
}

int InitProcess::await_listener() {
  while (!listener_) {
    if (!next_wait()) {
      throw Error(ErrorKind::system, "init sent no listener of its seccomp filter");
    }
  }
  return listener_.get();
}

void InitProcess::finish() {
  // The reports stay unread until the channel is closed: waking this process for each would take
  // time from init.
  pollfd polled{channel_.get(), 0, 0};
  while (poll(&polled, 1, -1) < 0) {
    if (errno != EINTR) {
      throw_errno("poll", "init's channel");
    }
  }
  while (next_wait().has_value()) {
  }
}

Fd open_root_of(pid_t pid) {
  const std::string path = "/proc/" + std::to_string(pid) + "/root";
  Fd root = open_or_none(AT_FDCWD, path.c_str(), O_PATH | O_DIRECTORY);
  // Ended, or not ours to look at.
  if (!root && errno != ENOENT && errno != ESRCH && errno != EACCES && errno != EPERM) {
    throw_errno("open", path);
  }
  return root;
}

Fd open_namespace_of(pid_t pid, int pidfd, const std::string& path) {
  Fd file = open_file(AT_FDCWD, "/proc/" + std::to_string(pid) + "/" + path, O_RDONLY);
  // Until here the number has not come to mean another process.
  if (syscall(SYS_pidfd_send_signal, pidfd, 0, nullptr, 0) < 0) {
    throw_errno("pidfd_send_signal", "process " + std::to_string(pid));
  }
  return file;
}

ExitStatus wait_child(int pidfd) {
  siginfo_t info{};
  while (waitid(P_PIDFD, static_cast<id_t>(pidfd), &info, WEXITED | __WALL) < 0) {
    if (errno != EINTR) {
      throw_errno("waitid");
    }
  }
  if (info.si_code == CLD_EXITED) {
    return {info.si_status, 0};
  }
  return {128 + info.si_status, info.si_status};
}

}  // namespace tare

// A running init as its host sees it: what it says, what it is answered, its end.
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <optional>

#include "tare/error.h"
#include "tare/fd.h"
#include "tare/spawn.h"

namespace tare {

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

}  // namespace tare

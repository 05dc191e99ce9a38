// What init says, who says it, and the process that it goes on as in the container's pid namespace.
//
// Those who may trace that process may have it say anything, keep it from saying anything, or speak
// in its place: its words decide about nothing but its own start. Which process it is, the host
// hears of who made it, outside of that namespace: the kernel sends along who speaks, and lets
// nobody name a process that his own pid namespace does not have; see unix(7).
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "spawn_end.h"
#include "tare/spawn.h"

namespace tare {
namespace {

using Clock = std::chrono::steady_clock;

/// More than init has to say once it has appeared.
constexpr std::size_t most_heard = 16;

/// More than fit into a socket's buffer.
constexpr int most_unread = 4096;

/// False where it is not this process's to kill, but ends by itself, as nobody answers it any more.
bool send_kill(int pidfd) {
  return syscall(SYS_pidfd_send_signal, pidfd, SIGKILL, nullptr, 0) == 0 || errno == ESRCH;
}

void kill_and_reap(Fd pidfd) {
  if (send_kill(pidfd.get())) {
    reap_ending(std::move(pidfd), std::chrono::seconds(10));
  }
}

/// A child of this process that is not reaped yet, so that the number is still its own.
void kill_and_reap(pid_t child) {
  Fd pidfd(static_cast<int>(syscall(SYS_pidfd_open, child, 0)));
  if (pidfd) {
    kill_and_reap(std::move(pidfd));
    return;
  }
  kill(child, SIGKILL);
  siginfo_t info;
  waitid(P_PID, static_cast<id_t>(child), &info, WEXITED | WNOHANG | __WALL);
}

/// The children that a thread of this process was given after its child `first`: see
/// proc_tid_children(5).
std::vector<pid_t> children_after(pid_t parent, pid_t first) {
  std::vector<pid_t> after;
  const std::string path = "/proc/self/task/" + std::to_string(parent) + "/children";
  const std::string text = read_file_if_exists(AT_FDCWD, path).value_or("");
  const char* const end = text.data() + text.size();
  bool found = false;
  pid_t pid = 0;
  for (auto number = std::from_chars(text.data(), end, pid); number.ec == std::errc();
       number = std::from_chars(number.ptr + 1, end, pid)) {
    if (found) {
      after.push_back(pid);
    }
    found = found || pid == first;
    if (number.ptr == end) {
      break;
    }
  }
  return after;
}

/// What came beside a message's bytes. All descriptors are taken: there may be as many as whoever
/// sent them liked.
struct Beside {
  Fd first;
  std::optional<pid_t> sender;

  explicit Beside(msghdr& header) {
    for (cmsghdr* part = CMSG_FIRSTHDR(&header); part != nullptr;
         part = CMSG_NXTHDR(&header, part)) {
      if (part->cmsg_level == SOL_SOCKET && part->cmsg_type == SCM_RIGHTS) {
        take_fds(part);
      } else if (part->cmsg_level == SOL_SOCKET && part->cmsg_type == SCM_CREDENTIALS) {
        ucred credentials{};
        std::memcpy(&credentials, CMSG_DATA(part), sizeof credentials);
        sender = credentials.pid;
      }
    }
  }

 private:
  void take_fds(const cmsghdr* part) {
    const std::size_t count = (part->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (std::size_t i = 0; i < count; ++i) {
      int raw = -1;
      std::memcpy(&raw, CMSG_DATA(part) + i * sizeof raw, sizeof raw);
      Fd fd(raw);
      if (!first) {
        first = std::move(fd);
      }
    }
  }
};

}  // namespace

InitTimeout::InitTimeout()
    : Error(ErrorKind::system, "init's channel: poll: " + errno_text(ETIMEDOUT)) {
  with_errno(ETIMEDOUT, "poll");
}

InitProcess::~InitProcess() {
  if (!pidfd_) {
    return;
  }
  if (plan_->appears() && !appeared_) {
    end_both();
  } else {
    kill_and_reap(std::move(pidfd_));
  }
}

/// Ends one that was about to appear, and the child, where it has made that.
void InitProcess::end_both() {
  answers_.reset();
  if (!send_kill(pidfd_.get())) {
    return;
  }
  await_end(pidfd_.get(), WNOWAIT);
  try {
    for (int i = 0; i < most_unread && !appeared_ && hear(MSG_DONTWAIT); ++i) {
    }
    if (!appeared_) {
      // Killed before it could tell: by cgroup.kill, or as memory ran out.
      for (const pid_t child : children_after(parent_, pid_)) {
        kill_and_reap(child);
      }
    }
  } catch (const Error&) {
    // follow() has ended the child.
  }
  kill_and_reap(std::move(pidfd_));
}

/// Goes on with the process that has appeared, a child of this one's.
void InitProcess::follow(pid_t pid) {
  Fd pidfd(static_cast<int>(syscall(SYS_pidfd_open, pid, 0)));
  if (!pidfd) {
    const int error = errno;
    kill_and_reap(pid);
    throw_errno(error, "pidfd_open", "the process that has appeared");
  }
  appeared_ = true;
  // It ends at once when it has made the other, unless it is frozen with its cgroup.
  reap_ending(std::exchange(pidfd_, std::move(pidfd)), std::chrono::milliseconds(100));
  pid_ = pid;
}

/// Who was to tell of the process that has appeared was killed before: by cgroup.kill, or as memory
/// ran out. Goes on with that process, where there is one.
bool InitProcess::adopt() {
  await_end(pidfd_.get(), WNOWAIT);
  const std::vector<pid_t> children = children_after(parent_, pid_);
  if (children.size() != 1) {
    return false;
  }
  follow(children.front());
  return true;
}

/// Waits until something is to be read, or with `events` 0 for the end of the channel; false when
/// `most` has passed before.
bool InitProcess::await_message(short events, std::chrono::milliseconds most) const {
  const auto left = [this, most] {
    if (!deadline_) {
      return most;
    }
    const auto now = std::chrono::ceil<std::chrono::milliseconds>(*deadline_ - Clock::now());
    if (now.count() <= 0) {
      is_late_ = true;
      throw InitTimeout();
    }
    return most.count() < 0 ? now : std::min(now, most);
  };
  pollfd polled{channel_.get(), events, 0};
  for (;;) {
    const int ready =
        poll(&polled, 1, static_cast<int>(std::min<std::int64_t>(left().count(), 1 << 30)));
    if (ready > 0) {
      return true;
    }
    if (ready == 0 && most.count() >= 0) {
      return false;
    }
    if (ready < 0 && errno != EINTR) {
      throw_errno("poll", "init's channel");
    }
  }
}

/// Reads a message, and puts it into heard_ where it is not about who has appeared. `flags`: of
/// recvmsg(2). False at the end of the channel.
bool InitProcess::hear(int flags) {
  if (deadline_ && (flags & MSG_DONTWAIT) == 0) {
    await_message(POLLIN, std::chrono::milliseconds(-1));
  }
  Heard heard;
  iovec vector{&heard.report, sizeof heard.report};
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int)) + CMSG_SPACE(sizeof(ucred))> control{};
  msghdr header{};
  ssize_t got = 0;
  // ECONNRESET tells once that init closed the channel with an answer unread; what it had sent is
  // still there.
  do {
    header.msg_iov = &vector;
    header.msg_iovlen = 1;
    header.msg_control = control.data();
    header.msg_controllen = control.size();
    got = recvmsg(channel_.get(), &header, MSG_CMSG_CLOEXEC | flags);
  } while (got < 0 && (errno == EINTR || errno == ECONNRESET));
  if (got < 0 && errno == EAGAIN) {
    return false;
  }
  if (got < 0) {
    throw_errno("recvmsg", "init's channel");
  }
  Beside beside(header);
  const bool whole = got == static_cast<ssize_t>(sizeof heard.report);
  if (!whole) {
    // An empty message looks like the end, but somebody sent it.
    return beside.sender.has_value();
  }
  heard.fd = std::move(beside.first);
  heard.sender = beside.sender.value_or(pid_);
  heard.alone = !appeared_ && heard.sender == pid_;
  if (heard.alone && plan_->appears() && heard.report.kind == wire::ReportKind::appeared) {
    follow(static_cast<pid_t>(heard.report.value));
  } else if (heard.alone || heard_.size() < most_heard) {
    heard_.push_back(std::move(heard));
  }
  return true;
}

/// The next message of init's, or of who goes on as it. None at the end of the channel.
std::optional<InitProcess::Heard> InitProcess::receive() {
  for (;;) {
    // Until it is known who has appeared, what others say is kept. Who was to tell that may fail at
    // it after the other has spoken.
    const auto next =
        appeared_ ? heard_.begin()
                  : std::ranges::find_if(heard_, [](const Heard& heard) { return heard.alone; });
    if (next == heard_.end()) {
      if (!hear()) {
        return std::nullopt;
      }
      continue;
    }
    Heard heard = std::move(*next);
    heard_.erase(next);
    if (heard.alone || heard.sender == pid_) {
      return heard;
    }
  }
}

}  // namespace tare

// Receives init's messages, checks their senders, and follows init to the child that it leaves in
// the container's pid namespace.
//
// A process that may trace that child can make it send anything, block its messages, or send
// messages in its place. Its messages therefore decide only about its own start. The host learns
// the child's pid from its maker, which is outside of that namespace: the kernel attaches the
// sender's credentials to each message, and no process can name a pid that its own pid namespace
// does not have; see unix(7).
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "spawn/process_end.h"
#include "spawn/spawn.h"
#include "tare/pidfd.h"
#include "tare/unix_socket.h"

namespace tare {
namespace {

using Clock = std::chrono::steady_clock;

/// More messages than init sends once it has appeared.
constexpr std::size_t most_heard = 16;

/// More messages than fit into a socket's buffer.
constexpr int most_unread = 4096;

/// Returns false where this process may not kill the target, which then ends by itself, as it gets
/// no more answers.
bool send_kill(int pidfd) {
  const int error = try_signal(pidfd, SIGKILL);
  return error == 0 || error == ESRCH;
}

void kill_and_reap(Fd pidfd) {
  if (send_kill(pidfd.get())) {
    reap_ending(std::move(pidfd), std::chrono::seconds(10));
  }
}

/// `child` must be an unreaped child of this process, so that its pid is not reused.
void kill_and_reap(pid_t child) {
  Fd pidfd = open_pidfd(child);
  if (pidfd) {
    kill_and_reap(std::move(pidfd));
  } else {
    kill_and_reap_by_pid(child, WNOHANG);
  }
}

/// Returns the children that were added to a thread of this process after its child `first`: see
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

/// Ends an init that is about to appear, and its child where it has made one.
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
      // Killed before it could report the child: by cgroup.kill or the OOM killer.
      for (const pid_t child : children_after(parent_, pid_)) {
        kill_and_reap(child);
      }
    }
  } catch (const Error&) {
    // follow() has ended the child.
  }
  kill_and_reap(std::move(pidfd_));
}

/// Goes on with the process that has appeared, a child of this process.
void InitProcess::follow(pid_t pid) {
  Fd pidfd = open_pidfd(pid);
  if (!pidfd) {
    const int error = errno;
    kill_and_reap(pid);
    throw_errno(error, "pidfd_open", "the process that has appeared");
  }
  appeared_ = true;
  // The maker ends at once after the clone, unless it is frozen with its cgroup.
  reap_ending(std::exchange(pidfd_, std::move(pidfd)), std::chrono::milliseconds(100));
  pid_ = pid;
}

/// Goes on with the appeared process, if there is one, where its maker was killed before it could
/// report it: by cgroup.kill or the OOM killer.
bool InitProcess::adopt() {
  await_end(pidfd_.get(), WNOWAIT);
  const std::vector<pid_t> children = children_after(parent_, pid_);
  if (children.size() != 1) {
    return false;
  }
  follow(children.front());
  return true;
}

/// Waits until there is something to read, or with `events` 0 for the end of the channel. Returns
/// false when `most` has passed before.
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

/// Reads a message, and adds it to heard_ unless it reports the process that has appeared. `flags`:
/// of recvmsg(2). Returns false at the end of the channel.
bool InitProcess::hear(int flags) {
  if (deadline_ && (flags & MSG_DONTWAIT) == 0) {
    await_message(POLLIN, std::chrono::milliseconds(-1));
  }
  Heard heard;
  const auto buffer = std::as_writable_bytes(std::span(&heard.report, 1));
  std::optional<ReceivedMessage> message;
  // ECONNRESET is reported once where init closed the channel with an answer unread. What init had
  // sent is still there.
  do {
    message = receive_message(channel_.get(), buffer, flags);
  } while (!message && errno == ECONNRESET);
  if (!message && errno == EAGAIN) {
    return false;
  }
  if (!message) {
    throw_errno("recvmsg", "init's channel");
  }
  if (message->size != sizeof heard.report) {
    // An empty message looks like the end of the channel, but it has a sender.
    return message->sender.has_value();
  }
  heard.fd = std::move(message->fd);
  heard.sender = message->sender.value_or(pid_);
  heard.alone = !appeared_ && heard.sender == pid_;
  if (heard.alone && plan_->appears() && heard.report.kind == wire::ReportKind::appeared) {
    follow(static_cast<pid_t>(heard.report.value));
  } else if (heard.alone || heard_.size() < most_heard) {
    heard_.push_back(std::move(heard));
  }
  return true;
}

/// Returns the next message of init or of the process that it goes on as; none at the end of the
/// channel.
std::optional<InitProcess::Heard> InitProcess::receive() {
  for (;;) {
    // Messages of other senders are kept until it is known which process has appeared. Its maker
    // may fail to report it after that process has already sent a message.
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

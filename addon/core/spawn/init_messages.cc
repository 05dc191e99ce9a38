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

/// More messages than init sends once it has forked.
constexpr std::size_t max_messages = 16;

/// More messages than fit into a socket's buffer.
constexpr int max_unread = 4096;

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
  if (plan_->forks_into_pidns() && !forked_) {
    kill_with_child();
  } else {
    kill_and_reap(std::move(pidfd_));
  }
}

/// Kills an init that is about to fork, and its child where it has made one.
void InitProcess::kill_with_child() {
  answers_.reset();
  if (!send_kill(pidfd_.get())) {
    return;
  }
  await_end(pidfd_.get(), WNOWAIT);
  try {
    for (int i = 0; i < max_unread && !forked_ && receive(MSG_DONTWAIT); ++i) {
    }
    if (!forked_) {
      // Killed before it could report the child: by cgroup.kill or the OOM killer.
      for (const pid_t child : children_after(parent_, pid_)) {
        kill_and_reap(child);
      }
    }
  } catch (const Error&) {
    // follow_child() has ended the child.
  }
  kill_and_reap(std::move(pidfd_));
}

/// Continues with the child that init goes on as. It is a child of this process.
void InitProcess::follow_child(pid_t pid) {
  Fd pidfd = open_pidfd(pid);
  if (!pidfd) {
    const int error = errno;
    kill_and_reap(pid);
    throw_errno(error, "pidfd_open", "the child of init");
  }
  forked_ = true;
  // The maker ends at once after the clone, unless it is frozen with its cgroup.
  reap_ending(std::exchange(pidfd_, std::move(pidfd)), std::chrono::milliseconds(100));
  pid_ = pid;
}

/// Continues with the child, if there is one, where init was killed before it could report it: by
/// cgroup.kill or the OOM killer.
bool InitProcess::adopt_child() {
  await_end(pidfd_.get(), WNOWAIT);
  const std::vector<pid_t> children = children_after(parent_, pid_);
  if (children.size() != 1) {
    return false;
  }
  follow_child(children.front());
  return true;
}

/// Waits until there is something to read, or with `events` 0 for the end of the channel. Returns
/// false if `timeout` passes first.
bool InitProcess::await_message(short events, std::chrono::milliseconds timeout) const {
  const auto left = [this, timeout] {
    if (!deadline_) {
      return timeout;
    }
    const auto now = std::chrono::ceil<std::chrono::milliseconds>(*deadline_ - Clock::now());
    if (now.count() <= 0) {
      timed_out_ = true;
      throw InitTimeout();
    }
    return timeout.count() < 0 ? now : std::min(now, timeout);
  };
  pollfd polled{channel_.get(), events, 0};
  for (;;) {
    const int ready =
        poll(&polled, 1, static_cast<int>(std::min<std::int64_t>(left().count(), 1 << 30)));
    if (ready > 0) {
      return true;
    }
    if (ready == 0 && timeout.count() >= 0) {
      return false;
    }
    if (ready < 0 && errno != EINTR) {
      throw_errno("poll", "init's channel");
    }
  }
}

/// Reads a message, and adds it to messages_ unless it reports the child that init goes on as.
/// `flags`: of recvmsg(2). Returns false at the end of the channel.
bool InitProcess::receive(int flags) {
  if (deadline_ && (flags & MSG_DONTWAIT) == 0) {
    await_message(POLLIN, std::chrono::milliseconds(-1));
  }
  Message message;
  const auto buffer = std::as_writable_bytes(std::span(&message.report, 1));
  std::optional<ReceivedMessage> received;
  // ECONNRESET is reported once where init closed the channel with an answer unread. What init had
  // sent is still there.
  do {
    received = receive_message(channel_.get(), buffer, flags);
  } while (!received && errno == ECONNRESET);
  if (!received && errno == EAGAIN) {
    return false;
  }
  if (!received) {
    throw_errno("recvmsg", "init's channel");
  }
  if (received->size != sizeof message.report) {
    // An empty message looks like the end of the channel, but it has a sender.
    return received->sender.has_value();
  }
  message.fd = std::move(received->fd);
  message.sender = received->sender.value_or(pid_);
  message.trusted = !forked_ && message.sender == pid_;
  if (message.trusted && plan_->forks_into_pidns() &&
      message.report.kind == wire::ReportKind::forked) {
    follow_child(static_cast<pid_t>(message.report.value));
  } else if (message.trusted || messages_.size() < max_messages) {
    messages_.push_back(std::move(message));
  }
  return true;
}

/// Returns the next message of init or of the process that it goes on as; none at the end of the
/// channel.
std::optional<InitProcess::Message> InitProcess::next_message() {
  for (;;) {
    // Messages of other senders are kept until it is known which process the child is. Its parent
    // may fail to report it after that process has already sent a message.
    const auto next =
        forked_ ? messages_.begin() : std::ranges::find_if(messages_, [](const Message& message) {
          return message.trusted;
        });
    if (next == messages_.end()) {
      if (!receive()) {
        return std::nullopt;
      }
      continue;
    }
    Message message = std::move(*next);
    messages_.erase(next);
    if (message.trusted || message.sender == pid_) {
      return message;
    }
  }
}

}  // namespace tare

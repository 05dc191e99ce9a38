// A running init as the host sees it: its messages and the answers to them. Their senders and the
// end of init are in spawn/init_messages.cc.
#include <linux/seccomp.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <thread>
#include <utility>

#include "spawn/process_end.h"
#include "spawn/spawn.h"
#include "tare/error.h"
#include "tare/fd.h"
#include "tare/pidfd.h"
#include "tare/unix_socket.h"

namespace tare {
namespace {

constexpr std::chrono::milliseconds no_limit(-1);

static_assert(max_sent_fds >= wire::max_requested_mounts);

/// Sends an answer to init. That init has ended (EPIPE, ECONNRESET) is left to next_wait(), which
/// tells why.
void send_answer(const Fd& socket, wire::WaitTag tag, std::span<const int> fds = {}) {
  wire::Answer answer;
  answer.go = static_cast<std::uint32_t>(tag);
  const std::string_view data(reinterpret_cast<const char*>(&answer), sizeof answer);
  const int error = send_message(socket.get(), data, fds);
  if (error != 0 && error != EPIPE && error != ECONNRESET) {
    throw_errno(error, "sendmsg", "init's channel");
  }
}

}  // namespace

Fd InitProcess::release() {
  channel_.reset();
  answers_.reset();
  return std::move(pidfd_);
}

void InitProcess::limit(std::chrono::steady_clock::time_point deadline) {
  if (deadline == deadline.max()) {
    deadline_.reset();
  } else {
    deadline_ = deadline;
  }
}

void InitProcess::answer(wire::WaitTag tag) {
  if (tag == wire::WaitTag::listener) {
    // A process under the filter waits for an answer as long as any process has the listener open.
    listener_.reset();
  }
  send_answer(answers_ ? answers_ : channel_, tag);
}

void InitProcess::send_mounts(const std::vector<int>& fds) {
  send_answer(channel_, wire::WaitTag::mounts, fds);
}

namespace {

/// Describes the end of an init that closed its channel without a message. It is ending, so this
/// waits for it. `forks`: it is to go on as a child, which it has not reported; `forked`: it is
/// that child.
std::string early_end(int pidfd, bool forks, bool forked) {
  if (forked) {
    // The container can keep this process from ending. Where it is ending, the signal changes
    // nothing.
    try_signal(pidfd, SIGKILL);
  }
  siginfo_t info = await_end(pidfd, WNOWAIT);
  // A tracer, such as strace, is told of the end first. One in the container could hold it back.
  const int attempts = forks || forked ? 100 : 1000;
  for (int attempt = 0; info.si_pid == 0 && attempt < attempts; ++attempt) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
    info = await_end(pidfd, WNOWAIT);
  }
  if (info.si_code == CLD_KILLED || info.si_code == CLD_DUMPED) {
    std::string text = "init was killed by signal " + std::to_string(info.si_status);
    if (forked) {
      text += " while it entered the container's pid namespace";
    }
    if (info.si_status == SIGKILL) {
      text += "; is linux.resources.memory.limit too small for the container to start?";
    }
    return text;
  }
  if (forks || info.si_pid == 0) {
    return "init closed its channel while it entered the container's pid namespace";
  }
  return "init ended early with status " + std::to_string(info.si_status);
}

}  // namespace

/// Whether init's plan allows this message now. After init has forked, other processes may send
/// messages in its place.
bool InitProcess::is_expected(const Message& message) const {
  switch (message.report.kind) {
    case wire::ReportKind::console:
      return plan_->has_console() && message.trusted && !console_;
    case wire::ReportKind::listener:
      return !has_listener_ && std::ranges::any_of(plan_->ops(), [](const wire::Op& op) {
        return op.code == wire::OpCode::seccomp && (op.a & SECCOMP_FILTER_FLAG_NEW_LISTENER) != 0;
      });
    case wire::ReportKind::waiting:
    case wire::ReportKind::executing:
      return !executing_;
    case wire::ReportKind::failed:
      return true;
    case wire::ReportKind::mounted:
      return message.trusted && message.report.op < plan_->ops().size() &&
             plan_->ops()[message.report.op].code == wire::OpCode::report_mount;
    case wire::ReportKind::forked:
      break;
  }
  return false;
}

std::optional<wire::WaitTag> InitProcess::next_wait() {
  for (;;) {
    std::optional<Message> message = next_message();
    if (!message) {
      if (!executing_ && plan_->forks_into_pidns() && !forked_ && adopt_child()) {
        continue;
      }
      if (!executing_) {
        throw Error(ErrorKind::system,
                    early_end(pidfd_.get(), plan_->forks_into_pidns() && !forked_, forked_));
      }
      return std::nullopt;
    }
    wire::Report& report = message->report;
    if (!is_expected(*message)) {
      throw Error(ErrorKind::system, "protocol error: unexpected message from init");
    }
    switch (report.kind) {
      case wire::ReportKind::waiting:
        if (static_cast<wire::WaitTag>(report.value) == wire::WaitTag::mounts &&
            handle_request(*message)) {
          break;
        }
        return static_cast<wire::WaitTag>(report.value);
      case wire::ReportKind::console:
        console_ = std::move(message->fd);
        break;
      case wire::ReportKind::listener:
        listener_ = std::move(message->fd);
        has_listener_ = true;
        return wire::WaitTag::listener;
      case wire::ReportKind::executing:
        executing_ = true;
        break;
      case wire::ReportKind::mounted:
        mounted_.push_back(std::uint64_t{report.step} << 32 | report.value);
        break;
      case wire::ReportKind::forked:
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
      throw Error(ErrorKind::system, "protocol error: init continued without waiting");
    }
  }
}

int InitProcess::await_listener() {
  while (!listener_) {
    if (!next_wait()) {
      throw Error(ErrorKind::system, "protocol error: init did not send its seccomp listener");
    }
  }
  return listener_.get();
}

void InitProcess::finish() {
  // If init can send no request, its reports stay unread until the channel is closed: waking this
  // process for each would slow init down. Until init has reported its forked child, this reads
  // once a second: container processes that can see the child could fill the channel. After a
  // timeout, finish() is called when the channel is readable, and reads at once.
  constexpr std::chrono::seconds interval(1);
  while (!timed_out_ && !may_request_mounts() &&
         !await_message(0, plan_->forks_into_pidns() && !forked_ ? interval : no_limit)) {
    while (!forked_ && receive(MSG_DONTWAIT)) {
    }
  }
  while (next_wait().has_value()) {
  }
}

}  // namespace tare

#include "spawn/process_end.h"

#include <poll.h>
#include <sys/wait.h>

#include <atomic>
#include <cerrno>
#include <utility>

namespace tare {
namespace {

/// The default: the caller ends soon, and its children are reaped by the process that inherits
/// them.
void leave(Fd) noexcept {}

std::atomic<void (*)(Fd) noexcept> late_reaper = leave;

/// Returns false where the child has not ended or is traced.
bool is_reaped(const Fd& pidfd) noexcept {
  siginfo_t info{};
  const auto id = static_cast<id_t>(pidfd.get());
  return waitid(P_PIDFD, id, &info, WEXITED | WNOHANG | __WALL) < 0 || info.si_pid != 0;
}

}  // namespace

siginfo_t await_end(int pidfd, int flags) noexcept {
  // waitid(2) would also wait for the tracer.
  pollfd ended{pidfd, POLLIN, 0};
  while (poll(&ended, 1, -1) < 0 && errno == EINTR) {
  }
  siginfo_t info{};
  waitid(P_PIDFD, static_cast<id_t>(pidfd), &info, WEXITED | WNOHANG | __WALL | flags);
  return info;
}

void reap_late_by(void (*reaper)(Fd) noexcept) noexcept { late_reaper = reaper; }

void reap_ending(Fd pidfd, std::chrono::milliseconds timeout) noexcept {
  if (is_reaped(pidfd)) {
    return;
  }
  pollfd ended{pidfd.get(), POLLIN, 0};
  poll(&ended, 1, static_cast<int>(timeout.count()));
  if (!is_reaped(pidfd)) {
    late_reaper.load()(std::move(pidfd));
  }
}

}  // namespace tare

#include "spawn/process_end.h"

#include <sys/wait.h>

#include <atomic>
#include <utility>

#include "tare/pidfd.h"

namespace tare {
namespace {

/// The default: the caller ends soon, and its children are reaped by the process that inherits
/// them.
void leave(Fd) noexcept {}

std::atomic<void (*)(Fd) noexcept> late_reaper = leave;

/// Returns false where the child has not ended or is traced.
bool is_reaped(const Fd& pidfd) noexcept {
  siginfo_t info{};
  return wait_for_child(pidfd.get(), WNOHANG, info) != 0 || info.si_pid != 0;
}

}  // namespace

siginfo_t await_end(int pidfd, int flags) noexcept {
  // waitid(2) would also wait for the tracer.
  ends_within(pidfd, std::chrono::milliseconds(-1));
  siginfo_t info{};
  wait_for_child(pidfd, WNOHANG | flags, info);
  return info;
}

void reap_late_by(void (*reaper)(Fd) noexcept) noexcept { late_reaper = reaper; }

void reap_ending(Fd pidfd, std::chrono::milliseconds timeout) noexcept {
  if (is_reaped(pidfd)) {
    return;
  }
  ends_within(pidfd.get(), timeout);
  if (!is_reaped(pidfd)) {
    late_reaper.load()(std::move(pidfd));
  }
}

}  // namespace tare

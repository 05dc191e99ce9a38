#include "tare/cancellation.h"

#include <fcntl.h>
#include <signal.h>

#include <utility>

#include "tare/pidfd.h"

namespace tare {
namespace {

/// A pidfd never refers to another process, so the process may have been reaped since.
void send_kill(const Fd& pidfd) noexcept {
  if (pidfd) {
    try_signal(pidfd.get(), SIGKILL);
  }
}

}  // namespace

bool Cancellation::cancel() noexcept {
  const std::lock_guard lock(mutex_);
  if (complete_) {
    return false;
  }
  cancelled_ = true;
  send_kill(hook_);
  send_kill(init_);
  return true;
}

bool Cancellation::is_cancelled() noexcept {
  const std::lock_guard lock(mutex_);
  return cancelled_;
}

void Cancellation::await_init(int pidfd) noexcept {
  // If no descriptor is left for the copy, cancel() does not kill init.
  Fd own(fcntl(pidfd, F_DUPFD_CLOEXEC, 0));
  const std::lock_guard lock(mutex_);
  init_ = std::move(own);
  if (cancelled_) {
    send_kill(init_);
  }
}

void Cancellation::await_hook(pid_t pid) noexcept {
  Fd pidfd = open_pidfd(pid);
  const std::lock_guard lock(mutex_);
  hook_ = std::move(pidfd);
  if (cancelled_) {
    send_kill(hook_);
  }
}

bool Cancellation::complete() noexcept {
  const std::lock_guard lock(mutex_);
  complete_ = !cancelled_;
  init_.reset();
  hook_.reset();
  return complete_;
}

}  // namespace tare

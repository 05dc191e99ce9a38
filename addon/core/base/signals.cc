#include "tare/signals.h"

#include <time.h>

#include <cerrno>

namespace tare {
namespace {

sigset_t only(int signal) noexcept {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, signal);
  return set;
}

}  // namespace

BlockedSignals::BlockedSignals() noexcept {
  sigset_t all;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before_);
}

BlockedSignals::~BlockedSignals() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }

IgnoredPipeSignal::IgnoredPipeSignal() noexcept {
  const sigset_t pipe = only(SIGPIPE);
  pthread_sigmask(SIG_BLOCK, &pipe, &before_);
}

IgnoredPipeSignal::~IgnoredPipeSignal() {
  if (sigismember(&before_, SIGPIPE) != 0) {
    return;
  }
  // A pending SIGPIPE would be delivered when it is unblocked.
  const sigset_t pipe = only(SIGPIPE);
  const timespec now{};
  while (sigtimedwait(&pipe, nullptr, &now) < 0 && errno == EINTR) {
  }
  pthread_sigmask(SIG_SETMASK, &before_, nullptr);
}

}  // namespace tare

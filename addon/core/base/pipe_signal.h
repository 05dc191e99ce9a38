// Writing to a pipe without a reader, in a process whose signal handling may not be ours.
#pragma once

#include <signal.h>
#include <time.h>

#include <cerrno>

namespace tare {

/// While it exists, a write of this thread to such a pipe fails with EPIPE and raises no SIGPIPE.
class IgnoredPipeSignal {
 public:
  IgnoredPipeSignal() {
    sigemptyset(&pipe_);
    sigaddset(&pipe_, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &pipe_, &before_);
  }
  ~IgnoredPipeSignal() {
    if (sigismember(&before_, SIGPIPE) == 0) {
      const timespec now{};
      while (sigtimedwait(&pipe_, nullptr, &now) < 0 && errno == EINTR) {
      }
      pthread_sigmask(SIG_SETMASK, &before_, nullptr);
    }
  }
  IgnoredPipeSignal(const IgnoredPipeSignal&) = delete;
  IgnoredPipeSignal& operator=(const IgnoredPipeSignal&) = delete;

 private:
  sigset_t pipe_;
  sigset_t before_;
};

}  // namespace tare

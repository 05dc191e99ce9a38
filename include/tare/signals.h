/// \file
/// Signals that this process must not handle during a section of code.
#pragma once

#include <signal.h>

namespace tare {

/// While it exists, all signals are blocked for this thread and for the threads and processes that
/// it starts.
class BlockedSignals {
 public:
  BlockedSignals() noexcept;
  ~BlockedSignals();
  BlockedSignals(const BlockedSignals&) = delete;
  BlockedSignals& operator=(const BlockedSignals&) = delete;

 private:
  sigset_t before_;
};

/// While it exists, a write of this thread to a pipe without a reader fails with EPIPE and raises
/// no SIGPIPE, whatever the process has set for that signal.
class IgnoredPipeSignal {
 public:
  IgnoredPipeSignal() noexcept;
  ~IgnoredPipeSignal();
  IgnoredPipeSignal(const IgnoredPipeSignal&) = delete;
  IgnoredPipeSignal& operator=(const IgnoredPipeSignal&) = delete;

 private:
  sigset_t before_;
};

}  // namespace tare

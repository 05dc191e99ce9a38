/// \file
/// How one thread cancels a call that another thread is blocked in.
#pragma once

#include <sys/types.h>

#include <mutex>

#include "tare/fd.h"

namespace tare {

/// Cancels one call that creates a container. Shared between the creating thread and the threads
/// that may cancel the call. All functions are safe to call from any thread and do not block.
class Cancellation {
 public:
  /// Kills the process that the call waits for (init or a hook), so that the call rolls back and
  /// throws. Returns false, and does nothing, if the call has already succeeded.
  bool cancel() noexcept;
  bool is_cancelled() noexcept;

  // For the call itself:

  /// Registers the pidfd of a child that the call waits for. The caller keeps ownership.
  void await_init(int pidfd) noexcept;
  /// Registers `pid`, an unreaped child of this process that the call waits for, in place of the
  /// previous one.
  void await_hook(pid_t pid) noexcept;
  /// Marks the call as successful. Returns false if it was cancelled before.
  bool complete() noexcept;

 private:
  std::mutex mutex_;
  bool cancelled_ = false;
  bool complete_ = false;
  Fd init_;
  Fd hook_;
};

}  // namespace tare

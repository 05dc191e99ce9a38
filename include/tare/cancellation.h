/// \file
/// How one thread stops a call that another thread is blocked in.
#pragma once

#include <sys/types.h>

#include <mutex>

#include "tare/fd.h"

namespace tare {

/// Stops one call that makes a container. Shared between the thread that makes it and the threads
/// that may cancel that. All functions may be called from any thread and don't block.
class Cancellation {
 public:
  /// Kills what the call waits for, its init or a hook, so that the call undoes what it has made
  /// and throws. False: the call has succeeded before, and this does nothing.
  bool cancel() noexcept;
  bool is_cancelled() noexcept;

  // By the call itself:

  /// `pidfd` is that of a child that the call waits for. It stays the caller's.
  void await_init(int pidfd) noexcept;
  /// `pid` is a child of this process that the call waits for and that is not reaped yet, instead
  /// of the last one given here.
  void await_hook(pid_t pid) noexcept;
  /// The call has succeeded, unless this returns false: then it was cancelled.
  bool complete() noexcept;

 private:
  std::mutex mutex_;
  bool cancelled_ = false;
  bool complete_ = false;
  Fd init_;
  Fd hook_;
};

}  // namespace tare

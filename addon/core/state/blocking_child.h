/// \file
/// The child that a holder of a container's lock waits for.
#pragma once

#include <sys/types.h>

#include <functional>

#include "state/directory.h"
#include "tare/cancellation.h"

namespace tare {

/// A child that a command waits for, without a time limit, while holding a container's lock: a
/// hook, or criu serving lazy pages. It is noted in the journal, and `delete --force` kills it
/// instead of waiting forever. The destructor removes the note.
class BlockingChild {
 public:
  /// `cancellation` kills the process, too; may be null.
  explicit BlockingChild(const StateDir& dir, Cancellation* cancellation = nullptr)
      : dir_(dir), cancellation_(cancellation) {}
  ~BlockingChild();
  BlockingChild(const BlockingChild&) = delete;
  BlockingChild& operator=(const BlockingChild&) = delete;

  /// Notes `pid`, an unreaped child of this process that has been started. If that fails (disk
  /// full), the process is not killed by `delete --force`.
  void started(pid_t pid) noexcept;
  /// Returns started() as a function.
  std::function<void(pid_t)> on_start();

 private:
  const StateDir& dir_;
  Cancellation* cancellation_;
  bool noted_ = false;
};

}  // namespace tare

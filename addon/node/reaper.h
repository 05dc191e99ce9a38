/// \file
/// How processes end: one thread that waits for the pidfds of all.
#pragma once

#include <sys/types.h>

#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "tare/container.h"

namespace tare::node {

/// How a process ended. Both empty: it was no child of ours, so only the end is known.
struct Exit {
  std::optional<int> code;
  std::optional<int> signal;
};

/// A process whose end is watched, shared by all who ask for it.
class Watched {
 public:
  Watched(Fd pidfd, bool is_child) : pidfd_(std::move(pidfd)), is_child_(is_child) {}

  using Callback = std::function<void(const Exit&)>;
  /// Calls back once, when the process ends, on the reaper's thread; at once if it has ended.
  void when_ended(Callback callback);
  /// pidfd_send_signal(2); false if the process has ended. Throws `system`.
  bool signal(int number);

 private:
  friend class Reaper;
  /// Reaps a child; none if that is not possible yet.
  std::optional<Exit> reap();
  void end(const Exit& exit);

  std::mutex mutex_;
  Fd pidfd_;  // empty when it has ended
  const bool is_child_;
  std::optional<Exit> exit_;
  std::vector<Callback> callbacks_;
};

/// One for the process, never destroyed. Children are reaped here whether or not anybody waits for
/// them, and no other child is touched.
class Reaper {
 public:
  static Reaper& instance();
  /// Watches the process of `pidfd`, and reaps it if it is a child of this process.
  std::shared_ptr<Watched> watch(Fd pidfd, bool is_child);

 private:
  Reaper();
  void work();

  Fd epoll_;
};

}  // namespace tare::node

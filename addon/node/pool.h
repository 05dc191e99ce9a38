/// \file
/// Threads for the core's blocking calls and for the ends of processes. libuv's four threads belong
/// to the host program, and a few containers with slow hooks would occupy them all.
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <list>
#include <memory>
#include <mutex>
#include <unordered_map>

#include "tare/container.h"

namespace tare::node {

/// Identifies a watch of Pool::watch(); never 0.
using WatchId = std::uint64_t;

/// A file descriptor that a pool thread waits for.
class Source {
 public:
  Source() = default;
  Source(const Source&) = delete;
  Source& operator=(const Source&) = delete;
  virtual ~Source() = default;
  /// Called once, by a pool thread, when the file descriptor is readable; perhaps before the call
  /// of Pool::watch() has returned. May block.
  virtual void ready(WatchId watch) noexcept = 0;
};

/// One per process, shared by all its environments, and never destroyed: exit(3) must not wait for
/// a hook.
///
/// The number of tasks that run at once is limited, to leave the event loop its share of the
/// processors. A task that has run for `slot_time` is taken to wait for something other than a
/// processor, and no longer counts.
///
/// A hook can make a task hang for as long as it likes; a container cannot: waits that a container
/// can prolong are sources. Sources are served however many tasks hang.
///
/// Idle threads all wait on one epoll instance, which wakes the one that came last: its memory is
/// most likely still in the caches. There is always an idle thread.
class Pool {
 public:
  static Pool& instance();
  /// Has a thread call `task`, which must not throw. Tasks begin in the order of their submission.
  /// Throws std::system_error if no thread can be created.
  void submit(std::function<void()> task);
  /// The same from within a pool thread, which runs the task itself if nothing comes before it.
  void submit_here(std::function<void()> task);
  /// Returns whether a task that is submitted now may have to wait for one that hangs.
  bool is_full() noexcept;
  /// Has a thread call `source->ready()` when `fd` is readable. The pool keeps the source until
  /// forget(), which must be called before `fd` is closed: close(2) does not end the watch while a
  /// child between clone(2) and execve(2) has a copy of the fd. Throws `system`.
  WatchId watch(int fd, std::shared_ptr<Source> source);
  /// Called by the source in its ready(): watches it once more. Throws `system`.
  void watch_again(int fd, WatchId watch);
  /// No call of ready() begins afterwards; one that has begun may continue.
  void forget(int fd, WatchId watch) noexcept;
  /// While this is held, the pool thread that called stay() does not end: the kernel treats the end
  /// of the thread that made a child as the end of the child's parent (PR_SET_PDEATHSIG).
  using Stay = std::shared_ptr<const void>;
  static Stay stay();

 private:
  using Clock = std::chrono::steady_clock;
  static constexpr unsigned max_threads = 128;
  struct Running {
    Clock::time_point since;
    bool counts = true;
  };

  Pool();
  void start_thread();
  void add_thread();
  /// Unlocks, and makes sure that a thread is idle.
  void leave_idle_thread(std::unique_lock<std::mutex>& lock) noexcept;
  void work();
  /// Unlocks, calls ready() of the source if that is still watched, and locks.
  void serve(WatchId watch, std::unique_lock<std::mutex>& lock);
  void run_tasks(std::unique_lock<std::mutex>& lock);
  /// Returns whether one more task can run: the last possible thread is reserved for sources.
  bool has_room() const noexcept { return counted_ < slots_ && busy_ < max_threads; }
  void discount_waiting();
  void call_for_more();

  Fd epoll_;
  Fd submitted_;   // an eventfd: there is a task and a slot for it
  Fd slot_timer_;  // a timerfd: a running task may have lost its slot

  std::mutex mutex_;
  std::deque<std::function<void()>> queue_;
  std::list<Running> running_;  // oldest first
  std::unordered_map<WatchId, std::shared_ptr<Source>> sources_;
  WatchId last_watch_;
  unsigned slots_;
  unsigned counted_ = 0;     // of running_
  bool is_waiting_ = false;  // slot_timer_ is set
  unsigned threads_ = 0;
  unsigned busy_ = 0;  // of threads_
};

}  // namespace tare::node

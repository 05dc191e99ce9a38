/// \file
/// Threads for the core's blocking calls and for the ends of processes. Not libuv's: its four are
/// the host program's own, and a few containers with slow hooks would take them all.
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

/// A file descriptor that a pool thread waits for.
class Source {
 public:
  Source() = default;
  Source(const Source&) = delete;
  Source& operator=(const Source&) = delete;
  virtual ~Source() = default;
  /// Called once, by a pool thread, when the file descriptor is readable. May block.
  virtual void ready() noexcept = 0;
};

/// One for the process, shared by all its environments, and never destroyed: exit(3) must not wait
/// for a hook.
///
/// Only so many tasks run at once as leave the event loop its turn on the processors. A task that
/// has run for `patience` waits for something else than a processor, and no longer counts.
///
/// Tasks may hang for as long as a hook likes, not a container: what that can hold up is waited for
/// as a source. However many tasks hang, sources are served.
///
/// Idle threads all wait at one epoll instance, which wakes the one that came last: its memory is
/// most likely still in the caches. One is always there.
class Pool {
 public:
  static Pool& instance();
  /// Has a thread call `task`, which must not throw. Tasks begin in the order of their submission.
  /// Throws std::system_error where no thread can be had.
  void submit(std::function<void()> task);
  /// The same from within a pool thread, which calls it itself if nothing is in its way.
  void submit_here(std::function<void()> task);
  /// Whether a task that is submitted now waits for one of those that hang, perhaps.
  bool is_full() noexcept;
  /// Has a thread call `source.ready()` when `fd` is readable. Throws `system`.
  void watch(int fd, Source& source);
  /// The same for a source that need not become ready: it is kept until it is forgotten. Never 0.
  using Watch = std::uint64_t;
  Watch watch(int fd, std::shared_ptr<Source> source);
  /// By the source in its ready(): once more.
  void watch_again(int fd, Watch watch);
  /// No call of ready() begins after that; one that has begun may go on.
  void forget(int fd, Watch watch) noexcept;
  /// As long as somebody has this, the pool's thread that asked for it does not end: the kernel
  /// takes the end of the thread that made a child for the end of its parent (PR_SET_PDEATHSIG).
  using Stay = std::shared_ptr<const void>;
  static Stay stay();
  /// To be called before a watched fd is closed. Closing alone would not do while a child between
  /// clone(2) and execve(2) has a copy of it.
  void forget(int fd) noexcept;

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
  /// Unlocks, and sees to it that an idle thread is there.
  void leave_idle_thread(std::unique_lock<std::mutex>& lock) noexcept;
  void work();
  /// Unlocks, has the source that is meant become ready if it is still watched, and locks.
  void serve(std::uint64_t event, std::unique_lock<std::mutex>& lock);
  void run_tasks(std::unique_lock<std::mutex>& lock);
  /// Whether one more task can run: the last thread that there can be is for sources.
  bool has_room() const noexcept { return counted_ < slots_ && busy_ < max_threads; }
  void discount_waiting();
  void call_for_more();

  Fd epoll_;
  Fd submitted_;  // an eventfd: there is a task and a slot for it
  Fd patience_;   // a timerfd: a running task may have lost its slot

  std::mutex mutex_;
  std::deque<std::function<void()>> queue_;
  std::list<Running> running_;  // oldest first
  std::unordered_map<Watch, std::shared_ptr<Source>> kept_;
  Watch last_watch_ = 0;
  unsigned slots_;
  unsigned counted_ = 0;     // of running_
  bool is_waiting_ = false;  // patience_ is set
  unsigned threads_ = 0;
  unsigned busy_ = 0;  // of threads_
};

}  // namespace tare::node

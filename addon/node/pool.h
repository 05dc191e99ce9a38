/// \file
/// Threads for the core's blocking calls. Not libuv's: its four are the host program's own, and a
/// few containers with slow hooks would take them all.
#pragma once

#include <chrono>
#include <condition_variable>
#include <deque>
#include <functional>
#include <list>
#include <mutex>

namespace tare::node {

/// Starts a detached thread that gets no signals: they are the business of the host program's own.
void start_thread(void (*main)(void*), void* argument);

/// One for the process, shared by all its environments, and never destroyed: exit(3) must not wait
/// for a hook. Tasks begin in the order of their submission. They must not throw.
///
/// Only so many tasks run at once as leave the event loop its turn on the processors. A task that
/// has run for `patience` waits for something else than a processor, and no longer counts.
class Pool {
 public:
  static Pool& instance();
  /// Throws std::system_error where no thread can be had.
  void submit(std::function<void()> task);

 private:
  using Clock = std::chrono::steady_clock;
  struct Running {
    Clock::time_point since;
    bool counts = true;
  };

  Pool();
  void add_thread();
  void work();
  void wait_for_task(std::unique_lock<std::mutex>& lock);
  void run_task(std::unique_lock<std::mutex>& lock);
  Clock::time_point discount_waiting();

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::function<void()>> queue_;
  std::list<Running> running_;
  unsigned slots_;
  unsigned counted_ = 0;  // of running_
  unsigned threads_ = 0;
  unsigned idle_ = 0;  // of threads_
  bool has_lookout_ = false;
};

}  // namespace tare::node

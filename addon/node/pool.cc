#include "pool.h"

#include <pthread.h>
#include <signal.h>

#include <algorithm>
#include <system_error>
#include <thread>
#include <utility>

namespace tare::node {

namespace {

constexpr std::chrono::milliseconds patience{20};
constexpr unsigned max_threads = 128;

class SignalsBlocked {
 public:
  SignalsBlocked() {
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before_);
  }
  SignalsBlocked(const SignalsBlocked&) = delete;
  SignalsBlocked& operator=(const SignalsBlocked&) = delete;
  ~SignalsBlocked() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }

 private:
  sigset_t before_;
};

}  // namespace

void start_thread(void (*main)(void*), void* argument) {
  const SignalsBlocked blocked;
  std::thread(main, argument).detach();
}

Pool& Pool::instance() {
  static Pool* const pool = new Pool;
  return *pool;
}

Pool::Pool() : slots_(std::max(2U, std::thread::hardware_concurrency())) {}

void Pool::submit(std::function<void()> task) {
  std::unique_lock lock(mutex_);
  queue_.push_back(std::move(task));
  if (idle_ > 0) {
    lock.unlock();  // else the thread would wake only to wait for the lock
    changed_.notify_one();
    return;
  }
  try {
    add_thread();
  } catch (...) {
    // Those that are there will come to it.
    if (threads_ > 0) return;
    queue_.pop_back();
    throw;
  }
}

void Pool::add_thread() {
  if (threads_ == max_threads) return;
  start_thread([](void* pool) { static_cast<Pool*>(pool)->work(); }, this);
  ++threads_;
}

void Pool::work() {
  std::unique_lock lock(mutex_);
  for (;;) {
    wait_for_task(lock);
    if (queue_.empty()) break;
    run_task(lock);
  }
  --threads_;
}

/// Returns when there is a task and a slot for it, or when this thread is one too many.
void Pool::wait_for_task(std::unique_lock<std::mutex>& lock) {
  while (queue_.empty() || counted_ >= slots_) {
    if (queue_.empty() && idle_ > slots_) return;
    ++idle_;
    if (queue_.empty() || has_lookout_) {
      changed_.wait(lock);
    } else {
      has_lookout_ = true;
      changed_.wait_until(lock, discount_waiting());
      has_lookout_ = false;
      discount_waiting();
    }
    --idle_;
  }
}

void Pool::run_task(std::unique_lock<std::mutex>& lock) {
  std::function<void()> task = std::move(queue_.front());
  queue_.pop_front();
  const auto running = running_.insert(running_.end(), Running{Clock::now()});
  ++counted_;
  // Another thread must stand by, to run the next task or to look out for a slot.
  const bool wake = !queue_.empty() && idle_ > 0;
  if (!queue_.empty() && idle_ == 0) {
    try {
      add_thread();
    } catch (const std::system_error&) {
      // Then the next task waits for this one.
    }
  }
  lock.unlock();
  if (wake) changed_.notify_one();
  task();
  task = nullptr;
  lock.lock();
  if (running->counts) --counted_;
  running_.erase(running);
}

/// Takes their slots from the tasks that have run for too long; returns when the next one will have.
Pool::Clock::time_point Pool::discount_waiting() {
  const Clock::time_point now = Clock::now();
  for (Running& running : running_) {
    if (!running.counts) continue;
    if (now - running.since < patience) return running.since + patience;
    running.counts = false;
    --counted_;
  }
  return now;
}

}  // namespace tare::node

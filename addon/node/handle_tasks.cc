// The order in which the calls of one object are carried out.
#include <signal.h>

#include <atomic>
#include <chrono>
#include <exception>
#include <utility>

#include "handle.h"
#include "pool.h"
#include "run_after.h"
#include "tare/error.h"

namespace tare::node {

namespace {

/// How long kill() and forced removal wait for earlier tasks, which may hang.
constexpr std::chrono::milliseconds kill_timeout{100};

/// If no timer can be made, the task only runs in its turn.
void try_run_after(std::function<void()> act) noexcept {
  try {
    run_after(kill_timeout, std::move(act));
  } catch (const std::exception&) {
  }
}

}  // namespace

bool Handle::add(Task&& task) {
  const std::lock_guard lock(mutex_);
  tasks_.push_back(std::move(task));
  return tasks_.size() == 1;
}

bool Handle::submit_task(Task task) {
  if (!add(std::move(task))) return false;
  try {
    Pool::instance().submit([self = shared_from_this()] { self->run_tasks(); });
  } catch (...) {
    const std::lock_guard lock(mutex_);
    tasks_.pop_back();
    throw;
  }
  return true;
}

void Handle::submit(std::function<void()> task) { submit_task({std::move(task)}); }

void Handle::submit_unordered(std::function<void()> task) { submit_task({std::move(task), true}); }

void Handle::submit_here(std::function<void()> task) {
  if (add({std::move(task)})) {
    Pool::instance().submit_here([self = shared_from_this()] { self->run_tasks(); });
  }
}

void Handle::submit_kill(std::function<void()> task) {
  const auto begun = std::make_shared<std::atomic_flag>();
  const auto once = [begun, task = std::move(task)] {
    if (!begun->test_and_set()) task();
  };
  if (!submit_task({once}) || Pool::instance().is_full()) try_run_after(once);
}

void Handle::submit_end(std::function<void()> task) {
  const auto begun = std::make_shared<std::atomic_flag>();
  const bool first = submit_task({[begun, task = std::move(task)] {
    begun->test_and_set();
    task();
  }});
  if (first && !Pool::instance().is_full()) return;
  try_run_after([self = shared_from_this(), begun] {
    if (begun->test()) return;
    try {
      self->kill(SIGKILL, false);
    } catch (const std::exception&) {
      // It has ended, or the task reports the error.
    }
  });
}

void Handle::run_tasks() {
  std::unique_lock lock(mutex_);
  do {
    Task task = std::move(tasks_.front());
    if (task.unordered) {
      tasks_.pop_front();
      const bool more = !tasks_.empty();
      lock.unlock();
      if (more) Pool::instance().submit([self = shared_from_this()] { self->run_tasks(); });
      task.call();
      return;
    }
    lock.unlock();
    task.call();
    task.call = nullptr;
    lock.lock();
    tasks_.pop_front();
  } while (!tasks_.empty());
}

bool Handle::signal_in_order(int number) {
  std::shared_ptr<ProcessWatcher> init;
  {
    const std::lock_guard lock(mutex_);
    if (!tasks_.empty() || (number == SIGKILL && !ends_with_init_)) return false;
    init = init_;
  }
  return init && init->signal(number);
}

bool Handle::kill_init() noexcept {
  std::shared_ptr<ProcessWatcher> init;
  {
    const std::lock_guard lock(mutex_);
    if (!ends_with_init_) return false;
    init = init_;
  }
  try {
    return init && init->kill();
  } catch (const std::exception&) {
    return false;
  }
}

}  // namespace tare::node

#include "pool.h"

#include <pthread.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <system_error>
#include <thread>
#include <utility>

#include "tare/error.h"
#include "tare/signals.h"

namespace tare::node {

namespace {

constexpr std::chrono::milliseconds slot_time{20};

/// What epoll reports for the pool's own descriptors. Numbers of watches are greater.
constexpr std::uint64_t submitted_event = 0;
constexpr std::uint64_t slot_timer_event = 1;

/// What stay() returns on this thread.
std::shared_ptr<const void> stays() {
  thread_local const auto given = std::make_shared<const char>();
  return given;
}

Fd checked(int fd, const char* syscall) {
  if (fd < 0) throw_errno(syscall);
  return Fd(fd);
}

}  // namespace

Pool& Pool::instance() {
  static Pool* const pool = new Pool;
  return *pool;
}

Pool::Pool()
    : epoll_(checked(epoll_create1(EPOLL_CLOEXEC), "epoll_create1")),
      submitted_(checked(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), "eventfd")),
      slot_timer_(checked(timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC), "timerfd_create")),
      last_watch_(slot_timer_event),
      // One task in three waits in the kernel, for locks and for resources to be freed.
      slots_(std::max(2U, std::thread::hardware_concurrency() * 3 / 2)) {
  const auto add = [this](const Fd& fd, std::uint64_t reported) {
    // Edge-triggered: each write wakes one thread, and no thread needs to read.
    epoll_event event = {.events = EPOLLIN | EPOLLET, .data = {.u64 = reported}};
    if (epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd.get(), &event) != 0) throw_errno("epoll_ctl");
  };
  add(submitted_, submitted_event);
  add(slot_timer_, slot_timer_event);
}

void Pool::submit(std::function<void()> task) {
  std::unique_lock lock(mutex_);
  if (threads_ == 0) add_thread();
  queue_.push_back(std::move(task));
  const bool has_slot = counted_ < slots_;
  if (!has_slot) call_for_more();
  lock.unlock();  // else the thread would wake only to wait for the lock
  if (has_slot) eventfd_write(submitted_.get(), 1);
}

void Pool::submit_here(std::function<void()> task) {
  std::unique_lock lock(mutex_);
  queue_.push_back(std::move(task));
  if (has_room()) {
    run_tasks(lock);
  } else {
    call_for_more();
  }
}

bool Pool::is_full() noexcept {
  const std::lock_guard lock(mutex_);
  return busy_ + 1 >= max_threads;
}

WatchId Pool::watch(int fd, std::shared_ptr<Source> source) {
  WatchId watch = 0;
  {
    const std::lock_guard lock(mutex_);
    if (threads_ == 0) add_thread();
    watch = ++last_watch_;
    sources_.emplace(watch, std::move(source));
  }
  epoll_event event = {.events = EPOLLIN | EPOLLONESHOT, .data = {.u64 = watch}};
  if (epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) == 0) return watch;
  const int error = errno;
  forget(fd, watch);
  throw_errno(error, "epoll_ctl");
}

void Pool::watch_again(int fd, WatchId watch) {
  epoll_event event = {.events = EPOLLIN | EPOLLONESHOT, .data = {.u64 = watch}};
  if (epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, fd, &event) != 0) throw_errno("epoll_ctl");
}

void Pool::forget(int fd, WatchId watch) noexcept {
  epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, fd, nullptr);
  // Destroyed after the lock is released.
  std::unordered_map<WatchId, std::shared_ptr<Source>>::node_type forgotten;
  const std::lock_guard lock(mutex_);
  forgotten = sources_.extract(watch);
}

Pool::Stay Pool::stay() { return stays(); }

void Pool::start_thread() {
  // Signals are for the host program's threads.
  const BlockedSignals blocked;
  std::thread([this] { work(); }).detach();
}

void Pool::add_thread() {
  start_thread();
  ++threads_;
}

void Pool::leave_idle_thread(std::unique_lock<std::mutex>& lock) noexcept {
  if (busy_ < threads_ || threads_ == max_threads) {
    lock.unlock();
    return;
  }
  ++threads_;
  // Creating a thread takes long when the processors are busy, and an event loop may be waiting.
  lock.unlock();
  try {
    start_thread();
  } catch (const std::system_error&) {
    // Then new work waits for a thread that is busy now.
    lock.lock();
    --threads_;
    lock.unlock();
  }
}

void Pool::work() {
  for (;;) {
    epoll_event event;
    if (epoll_wait(epoll_.get(), &event, 1, -1) != 1) continue;
    std::unique_lock lock(mutex_);
    ++busy_;
    if (event.data.u64 == slot_timer_event) is_waiting_ = false;
    if (event.data.u64 == slot_timer_event || event.data.u64 == submitted_event) {
      run_tasks(lock);
    } else {
      serve(event.data.u64, lock);
    }
    --busy_;
    // Now one thread may run a task, and another is left for sources.
    if (busy_ + 2 == max_threads && !queue_.empty()) call_for_more();
    // use_count() is 2 without a Stay: the thread's own pointer and this copy.
    if (threads_ - busy_ <= slots_ + 1 || stays().use_count() > 2) continue;
    --threads_;
    return;
  }
}

void Pool::serve(WatchId watch, std::unique_lock<std::mutex>& lock) {
  const auto found = sources_.find(watch);
  if (found == sources_.end()) return;
  {
    const std::shared_ptr<Source> source = found->second;
    leave_idle_thread(lock);
    source->ready(watch);
  }
  lock.lock();
}

/// Runs tasks as long as there are some and a slot for them.
void Pool::run_tasks(std::unique_lock<std::mutex>& lock) {
  discount_waiting();
  while (!queue_.empty() && has_room()) {
    std::function<void()> task = std::move(queue_.front());
    queue_.pop_front();
    const auto running = running_.insert(running_.end(), Running{Clock::now()});
    ++counted_;
    if (!queue_.empty()) call_for_more();
    leave_idle_thread(lock);
    task();
    task = nullptr;
    lock.lock();
    if (running->counts) --counted_;
    running_.erase(running);
  }
  if (!queue_.empty() && busy_ < max_threads) call_for_more();
}

/// Frees the slots of tasks that have run for longer than `slot_time`.
void Pool::discount_waiting() {
  const Clock::time_point now = Clock::now();
  for (Running& running : running_) {
    if (!running.counts) continue;
    if (now - running.since < slot_time) break;
    running.counts = false;
    --counted_;
  }
}

/// Makes a thread come for the queue: now if there is a slot, else when the oldest task that counts
/// loses its slot. (If one ends before, its thread takes the next task itself.)
void Pool::call_for_more() {
  if (counted_ < slots_) {
    eventfd_write(submitted_.get(), 1);
    return;
  }
  // If the timer was set for a task that has ended since, its thread comes early and sets it again.
  if (is_waiting_) return;
  const auto oldest =
      std::ranges::find_if(running_, [](const Running& running) { return running.counts; });
  const auto due = std::chrono::nanoseconds((oldest->since + slot_time).time_since_epoch()).count();
  const itimerspec timer = {
      .it_interval = {},
      .it_value = {.tv_sec = due / 1'000'000'000, .tv_nsec = due % 1'000'000'000}};
  is_waiting_ = timerfd_settime(slot_timer_.get(), TFD_TIMER_ABSTIME, &timer, nullptr) == 0;
}

}  // namespace tare::node

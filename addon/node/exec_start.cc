#include "exec_start.h"

#include <algorithm>
#include <chrono>
#include <string_view>
#include <utility>

#include "tare/spec.h"

namespace tare::node {

namespace {

/// How long a thread waits itself before the wait moves to the pool's epoll: a start seldom takes
/// longer, and waking a thread for each of init's messages slows down both.
constexpr std::chrono::milliseconds first_wait{5};
/// How long a woken thread waits for what follows at once.
constexpr std::chrono::milliseconds further_wait{1};

/// Returns the requested process: properties that are not given are those of the container's
/// process.
Process complete(const ExecRequest& request, const Spec& spec) {
  Process process = parse_process(request.process, "process");
  const auto is_given = [&](std::string_view name) {
    return std::ranges::find(request.given, name) != request.given.end();
  };
  if (!spec.process) {
    if (process.cwd.empty()) process.cwd = "/";
    return process;
  }
  if (!is_given("cwd")) process.cwd = spec.process->cwd;
  if (!is_given("env")) process.env = spec.process->env;
  if (!is_given("user")) process.user = spec.process->user;
  if (!is_given("noNewPrivileges")) process.no_new_privileges = spec.process->no_new_privileges;
  return process;
}

}  // namespace

PendingExec ExecStart::begin_exec() {
  container_ = handle_->concurrent_container();
  request_.options.process = complete(request_, container_->spec());
  request_.options.source = {.document = "process", .prefix = ""};
  return container_->begin_exec(request_.options);
}

void ExecStart::begin(std::function<void()> done) noexcept {
  std::unique_lock lock(mutex_);
  done_ = std::move(done);
  stay_ = Pool::stay();
  try {
    pending_.emplace(begin_exec());
    request_.shared_fds.clear();
  } catch (...) {
    failure_ = std::current_exception();
    lock.unlock();
    std::exchange(done_, nullptr)();
    return;
  }
  go_on(lock, Clock::now() + first_wait);
}

void ExecStart::ready(WatchId /*watch*/) noexcept {
  std::unique_lock lock(mutex_);
  if (watch_ != 0) go_on(lock, Clock::now() + further_wait);
}

void ExecStart::go_on(std::unique_lock<std::mutex>& lock, Clock::time_point deadline) noexcept {
  Pool& pool = Pool::instance();
  try {
    if (!pending_->advance(deadline)) {
      if (watch_ == 0) {
        watch_ = pool.watch(pending_->fd(), shared_from_this());
      } else {
        pool.watch_again(pending_->fd(), watch_);
      }
      return;
    }
  } catch (...) {
    failure_ = std::current_exception();
  }
  if (watch_ != 0) pool.forget(pending_->fd(), std::exchange(watch_, 0));
  if (failure_) pending_.reset();
  lock.unlock();
  // done_ refers to this object, so it is cleared as it is called.
  std::exchange(done_, nullptr)();
}

StartedProcess ExecStart::take() {
  const std::lock_guard lock(mutex_);
  if (failure_) std::rethrow_exception(failure_);
  StartedProcess started = pending_->take();
  pending_.reset();
  stay_.reset();
  return started;
}

}  // namespace tare::node

#include "process_watcher.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include <algorithm>
#include <cerrno>
#include <exception>

#include "run_after.h"
#include "tare/pidfd.h"

namespace tare::node {

namespace {

std::uint64_t nanoseconds(const timeval& time) {
  return static_cast<std::uint64_t>(time.tv_sec) * 1'000'000'000 +
         static_cast<std::uint64_t>(time.tv_usec) * 1'000;
}

/// After this time the end is reported without a status.
constexpr std::chrono::milliseconds reap_timeout{1000};
constexpr std::chrono::milliseconds shortest_delay{1};
constexpr std::chrono::milliseconds longest_delay{1000};

/// After this time a reaper that was asked to end its container is killed.
constexpr std::chrono::milliseconds reaper_timeout{100};

}  // namespace

std::shared_ptr<ProcessWatcher> ProcessWatcher::watch(Fd pidfd, bool is_child) {
  return watch_init(std::move(pidfd), is_child, false, {});
}

void ProcessWatcher::reap_late(Fd pidfd) noexcept {
  try {
    watch(std::move(pidfd), true);
  } catch (const std::exception&) {
    // Without memory the child stays a zombie until this process ends.
  }
}

std::shared_ptr<ProcessWatcher> ProcessWatcher::watch_init(Fd pidfd, bool is_child, bool is_reaper,
                                                           Fd ending) {
  std::shared_ptr<ProcessWatcher> watcher(
      new ProcessWatcher(std::move(pidfd), is_child, is_reaper, std::move(ending)));
  try {
    Pool::instance().watch(watcher->pidfd_.get(), watcher);
  } catch (...) {
    if (is_child) watcher->end();
    throw;
  }
  return watcher;
}

void ProcessWatcher::when_ended(Callback callback) {
  std::unique_lock lock(mutex_);
  if (!exit_) {
    callbacks_.push_back(std::move(callback));
    return;
  }
  lock.unlock();
  callback(*exit_);
}

bool ProcessWatcher::signal(int number) {
  if (number == SIGKILL) return is_reaper_ && ending_ ? end_by_reaper() : kill();
  const std::lock_guard lock(mutex_);
  return !ended_ && signal_init(pidfd_.get(), is_reaper_, number);
}

bool ProcessWatcher::kill() {
  const std::lock_guard lock(mutex_);
  return !ended_ && signal_init(pidfd_.get(), is_reaper_, SIGKILL);
}

bool ProcessWatcher::end_by_reaper() {
  try {
    run_after(reaper_timeout, [self = shared_from_this()] {
      try {
        self->kill();
      } catch (const std::exception&) {
        // There is no other way to end it.
      }
    });
  } catch (const std::exception&) {
    return kill();
  }
  const std::lock_guard lock(mutex_);
  return !ended_ && kill_by_reaper(pidfd_.get());
}

std::optional<Exit> ProcessWatcher::reap() const noexcept {
  if (!is_child_) return Exit{};
  siginfo_t info = {};
  rusage used{};
  if (wait_for_child(pidfd_.get(), WNOHANG, info, &used) != 0) {
    return Exit{};  // ECHILD: the host program waits for any child, and has reaped this one first
  }
  if (info.si_pid == 0) return std::nullopt;
  Exit exit;
  (info.si_code == CLD_EXITED ? exit.code : exit.signal) = info.si_status;
  exit.cpu.user = nanoseconds(used.ru_utime);
  exit.cpu.kernel = nanoseconds(used.ru_stime);
  // A reaper that was killed has written nothing: its program was killed with it.
  if (const std::optional<ProgramEnd> end =
          ending_ ? read_program_end(ending_.get()) : std::nullopt) {
    exit.code.reset();
    exit.signal.reset();
    (end->signal == 0 ? exit.code : exit.signal) = end->signal == 0 ? end->code : end->signal;
    exit.max_rss = end->max_rss;
  }
  return exit;
}

void ProcessWatcher::keep_console(const Fd& master) noexcept {
  const std::lock_guard lock(mutex_);
  if (!ended_ && master) console_ = Fd(fcntl(master.get(), F_DUPFD_CLOEXEC, 0));
}

void ProcessWatcher::hang_up() noexcept {
  const std::lock_guard lock(mutex_);
  console_.reset();
}

void ProcessWatcher::ready(WatchId watch) noexcept {
  Pool::instance().forget(pidfd_.get(), watch);
  {
    const std::lock_guard lock(mutex_);
    ended_ = true;
    console_.reset();
  }
  reap_or_retry({});
}

/// A tracer that does not wait for a process keeps the parent from reaping it, for as long as the
/// tracer lives.
void ProcessWatcher::reap_or_retry(std::chrono::milliseconds waited) noexcept {
  if (const std::optional<Exit> exit = reap()) {
    {
      const std::lock_guard lock(mutex_);
      pidfd_.reset();
      ending_.reset();
    }
    tell(*exit);
    return;
  }
  if (waited >= reap_timeout) tell({});
  const auto delay = std::clamp(waited, shortest_delay, longest_delay);
  try {
    run_after(delay, [self = shared_from_this(), waited = waited + delay] {
      self->reap_or_retry(waited);
    });
  } catch (const std::exception&) {
    tell({});
  }
}

void ProcessWatcher::tell(const Exit& exit) noexcept {
  std::vector<Callback> callbacks;
  {
    const std::lock_guard lock(mutex_);
    if (exit_) return;
    exit_ = exit;
    callbacks.swap(callbacks_);
  }
  for (const Callback& callback : callbacks) callback(exit);
}

void ProcessWatcher::end() noexcept {
  try_signal(pidfd_.get(), SIGKILL);
  ends_within(pidfd_.get(), reap_timeout);
  reap();
}

}  // namespace tare::node

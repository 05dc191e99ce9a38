#include "watched.h"

#include <signal.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>

#include "tare/error.h"

namespace tare::node {

namespace {

std::uint64_t nanoseconds(const timeval& time) {
  return static_cast<std::uint64_t>(time.tv_sec) * 1'000'000'000 +
         static_cast<std::uint64_t>(time.tv_usec) * 1'000;
}

}  // namespace

std::shared_ptr<Watched> Watched::watch(Fd pidfd, bool is_child) {
  const int fd = pidfd.get();
  std::shared_ptr<Watched> watched(new Watched(std::move(pidfd), is_child));
  watched->self_ = watched;
  try {
    Pool::instance().watch(fd, *watched);
  } catch (...) {
    watched->self_.reset();
    throw;
  }
  return watched;
}

void Watched::when_ended(Callback callback) {
  std::unique_lock lock(mutex_);
  if (!exit_) {
    callbacks_.push_back(std::move(callback));
    return;
  }
  lock.unlock();
  callback(*exit_);
}

bool Watched::signal(int number) {
  const std::lock_guard lock(mutex_);
  if (!pidfd_) return false;
  if (syscall(SYS_pidfd_send_signal, pidfd_.get(), number, nullptr, 0) == 0) return true;
  if (errno == ESRCH) return false;
  throw_errno("pidfd_send_signal");
}

Exit Watched::reap() const noexcept {
  if (!is_child_) return {};
  siginfo_t info = {};
  // __WALL: a child that has not executed anything yet has no exit signal, which else excludes it.
  // This waits only where a debugger still holds the zombie.
  const auto id = static_cast<id_t>(pidfd_.get());
  rusage used{};
  // The C library has no waitid(2) that tells what was used.
  if (syscall(SYS_waitid, P_PIDFD, id, &info, WEXITED | __WALL, &used) != 0) {
    return {};  // ECHILD: the host program waits for just any child, and was quicker
  }
  Exit exit;
  (info.si_code == CLD_EXITED ? exit.code : exit.signal) = info.si_status;
  exit.cpu.user = nanoseconds(used.ru_utime);
  exit.cpu.kernel = nanoseconds(used.ru_stime);
  return exit;
}

void Watched::ready() noexcept {
  const Exit exit = reap();
  std::shared_ptr<Watched> self;  // destroyed last
  std::vector<Callback> callbacks;
  {
    const std::lock_guard lock(mutex_);
    exit_ = exit;
    Pool::instance().forget(pidfd_.get());
    pidfd_.reset();
    callbacks.swap(callbacks_);
    self.swap(self_);
  }
  for (const Callback& callback : callbacks) callback(exit);
}

}  // namespace tare::node

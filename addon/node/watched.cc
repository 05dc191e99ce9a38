#include "watched.h"

#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>

#include "tare/error.h"

namespace tare::node {

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
  if (waitid(P_PIDFD, id, &info, WEXITED | __WALL) != 0) {
    return {};  // ECHILD: the host program waits for just any child, and was quicker
  }
  if (info.si_code == CLD_EXITED) return {.code = info.si_status, .signal = {}};
  return {.code = {}, .signal = info.si_status};
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

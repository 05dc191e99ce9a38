#include "reaper.h"

#include <signal.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <utility>

#include "pool.h"
#include "tare/error.h"

namespace tare::node {

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

std::optional<Exit> Watched::reap() {
  if (!is_child_) return Exit{};
  siginfo_t info = {};
  // __WALL: a child that has not executed anything yet has no exit signal, which else excludes it.
  const auto id = static_cast<id_t>(pidfd_.get());
  if (waitid(P_PIDFD, id, &info, WEXITED | WNOHANG | __WALL) != 0) {
    return Exit{};  // ECHILD: the host program waits for just any child, and was quicker
  }
  if (info.si_pid == 0) return std::nullopt;
  if (info.si_code == CLD_EXITED) return Exit{.code = info.si_status, .signal = {}};
  return Exit{.code = {}, .signal = info.si_status};
}

void Watched::end(const Exit& exit) {
  std::vector<Callback> callbacks;
  {
    const std::lock_guard lock(mutex_);
    exit_ = exit;
    pidfd_.reset();
    callbacks = std::move(callbacks_);
  }
  for (const Callback& callback : callbacks) callback(exit);
}

Reaper& Reaper::instance() {
  static Reaper* const reaper = new Reaper;
  return *reaper;
}

Reaper::Reaper() : epoll_(epoll_create1(EPOLL_CLOEXEC)) {
  if (!epoll_) throw_errno("epoll_create1");
  start_thread([](void* reaper) { static_cast<Reaper*>(reaper)->work(); }, this);
}

std::shared_ptr<Watched> Reaper::watch(Fd pidfd, bool is_child) {
  const int raw = pidfd.get();
  auto watched = std::make_shared<Watched>(std::move(pidfd), is_child);
  // Until the process has ended, the thread owns this reference.
  auto held = std::make_unique<std::shared_ptr<Watched>>(watched);
  // Edge-triggered: a zombie that a debugger holds is readable but cannot be reaped; when the
  // debugger lets go of it there is another edge.
  epoll_event event = {.events = EPOLLIN | EPOLLET, .data = {.ptr = held.get()}};
  if (epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, raw, &event) != 0) throw_errno("epoll_ctl");
  static_cast<void>(held.release());
  return watched;
}

void Reaper::work() {
  std::array<epoll_event, 64> events;
  for (;;) {
    const int count = epoll_wait(epoll_.get(), events.data(), int{events.size()}, -1);
    for (int i = 0; i < count; ++i) {
      auto* const held =
          static_cast<std::shared_ptr<Watched>*>(events[static_cast<unsigned>(i)].data.ptr);
      const std::optional<Exit> exit = (*held)->reap();
      if (!exit) continue;
      // Closing alone does not end the registration while a child between clone and exec has a
      // copy of the fd.
      epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, (*held)->pidfd_.get(), nullptr);
      (*held)->end(*exit);
      delete held;
    }
  }
}

}  // namespace tare::node

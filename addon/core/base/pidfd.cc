#include "tare/pidfd.h"

#include <poll.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>

#include "tare/error.h"

namespace tare {
namespace {

ExitStatus exit_status(const siginfo_t& info) {
  return info.si_code == CLD_EXITED ? ExitStatus{info.si_status, 0}
                                    : ExitStatus{128 + info.si_status, info.si_status};
}

/// By the system call itself: the C library's waitid(2) does not return resource usage.
int wait_for(idtype_t type, int id, int flags, siginfo_t& info, rusage* usage) noexcept {
  // __WALL: a child has no exit signal before its first execve(2), and is otherwise not waited for.
  while (syscall(SYS_waitid, type, id, &info, WEXITED | __WALL | flags, usage) < 0) {
    if (errno != EINTR) {
      return errno;
    }
  }
  return 0;
}

}  // namespace

Fd open_pidfd(pid_t pid) noexcept { return Fd(static_cast<int>(syscall(SYS_pidfd_open, pid, 0))); }

int try_signal(int pidfd, int signal, siginfo_t* info) noexcept {
  return syscall(SYS_pidfd_send_signal, pidfd, signal, info, 0) == 0 ? 0 : errno;
}

bool send_signal(int pidfd, int signal, std::string_view name, siginfo_t* info) {
  const int error = try_signal(pidfd, signal, info);
  if (error != 0 && error != ESRCH) {
    throw_errno(error, "pidfd_send_signal", name);
  }
  return error == 0;
}

bool ends_within(int pidfd, std::chrono::milliseconds timeout) noexcept {
  using Clock = std::chrono::steady_clock;
  const Clock::time_point deadline = Clock::now() + timeout;
  pollfd polled{pidfd, POLLIN, 0};
  int ready = -1;
  do {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now()).count();
    const std::int64_t limit = timeout.count() < 0 ? -1 : std::max<std::int64_t>(left, 0);
    ready = poll(&polled, 1, static_cast<int>(limit));
  } while (ready < 0 && errno == EINTR);
  if (ready == 0) {
    errno = ETIMEDOUT;
  }
  return ready > 0;
}

int wait_for_child(int pidfd, int flags, siginfo_t& info, rusage* usage) noexcept {
  return wait_for(P_PIDFD, pidfd, flags, info, usage);
}

ExitStatus reap(int pidfd) {
  siginfo_t info{};
  if (const int error = wait_for_child(pidfd, 0, info)) {
    throw_errno(error, "waitid");
  }
  return exit_status(info);
}

std::optional<ExitStatus> reap_by_pid(pid_t pid) noexcept {
  siginfo_t info{};
  return wait_for(P_PID, pid, 0, info, nullptr) == 0 ? std::optional(exit_status(info))
                                                     : std::nullopt;
}

void kill_and_reap_by_pid(pid_t pid, int flags) noexcept {
  kill(pid, SIGKILL);
  siginfo_t info{};
  wait_for(P_PID, pid, flags, info, nullptr);
}

}  // namespace tare

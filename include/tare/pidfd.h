/// \file
/// Processes by pidfd: opening, signalling, waiting for the end, reaping. All functions retry
/// EINTR, and none takes ownership of a descriptor.
#pragma once

#include <signal.h>
#include <sys/resource.h>
#include <sys/types.h>

#include <chrono>
#include <optional>
#include <string_view>

#include "tare/fd.h"

namespace tare {

/// pidfd_open(2). Returns no descriptor and sets errno on failure: ESRCH if there is no such
/// process, EINVAL or ENOENT for a thread that is not the first of its process.
Fd open_pidfd(pid_t pid) noexcept;

/// pidfd_send_signal(2) with the sender's details in `info`, if it is not null. Returns 0 or the
/// errno: ESRCH if the process has ended.
int try_signal(int pidfd, int signal, siginfo_t* info = nullptr) noexcept;
/// The same, but returns false if the process has ended, and throws `system` for other failures.
/// `name` denotes the process in the error.
bool send_signal(int pidfd, int signal, std::string_view name, siginfo_t* info = nullptr);

/// Waits for the end of a process, a child of this one or not, without reaping it. A negative
/// `timeout` is no limit. Returns false and sets errno if the timeout passes first (ETIMEDOUT) or
/// poll(2) fails.
bool ends_within(int pidfd, std::chrono::milliseconds timeout) noexcept;

/// waitid(2) for a child of any kind; `flags` are added to WEXITED. Returns 0 or the errno; ECHILD:
/// not a child of this process, or reaped already. `info.si_pid` is 0 if the child has not ended
/// (WNOHANG), or if a tracer waits for it first (ptrace(2)).
int wait_for_child(int pidfd, int flags, siginfo_t& info, rusage* usage = nullptr) noexcept;

/// How a process ended.
struct ExitStatus {
  int code = 0;    ///< exit status; 128 + signal if killed by a signal
  int signal = 0;  ///< 0: it exited
};
/// Waits for the end of a child and reaps it. Throws `system` (ECHILD: see wait_for_child()).
ExitStatus reap(int pidfd);
/// Waits for the end of the child `pid`, for which there is no pidfd, and reaps it. Returns none if
/// its status is lost: SIGCHLD is ignored, or other code has reaped it.
std::optional<ExitStatus> reap_by_pid(pid_t pid) noexcept;
/// Kills the child `pid`, for which no pidfd could be opened, and reaps it. `flags`: WNOHANG, or 0
/// to wait for its end.
void kill_and_reap_by_pid(pid_t pid, int flags) noexcept;

}  // namespace tare

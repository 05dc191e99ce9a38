/// \file
/// The end of children that processes of a container may trace.
#pragma once

#include <signal.h>

#include <chrono>

#include "tare/fd.h"

namespace tare {

/// As ends_within() of tare/pidfd.h, and meanwhile reaps the children that a tracer has kept
/// reap_ending() from reaping. A container's init ends after all processes of its pid namespace are
/// reaped (pid_namespaces(7)), and they may be such children.
bool ends_while_reaping(int pidfd, std::chrono::milliseconds timeout) noexcept;

/// Waits for the end of a child. Returns how it ended; si_pid is 0 where this process cannot tell
/// yet: a tracer may wait for it first (ptrace(2)), and need not do so. `flags`: WNOWAIT, or 0 to
/// reap it.
siginfo_t await_end(int pidfd, int flags) noexcept;

/// Reaps a child that is ending: now, or by the late reaper where it has not ended by `timeout` or
/// is traced.
void reap_ending(Fd pidfd, std::chrono::milliseconds timeout) noexcept;
/// Implements set_late_reaper() of container.h.
void reap_late_by(void (*reaper)(Fd) noexcept) noexcept;

}  // namespace tare

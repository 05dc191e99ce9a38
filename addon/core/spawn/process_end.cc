#include "spawn/process_end.h"

#include <sys/wait.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <mutex>
#include <utility>
#include <vector>

#include "tare/pidfd.h"

namespace tare {
namespace {

/// Returns false where the child has not ended or is traced.
bool is_reaped(const Fd& pidfd) noexcept {
  siginfo_t info{};
  return wait_for_child(pidfd.get(), WNOHANG, info) != 0 || info.si_pid != 0;
}

struct KeptChildren {
  std::mutex mutex;
  std::vector<Fd> pidfds;
};

/// Never destroyed: other threads may use it while the process exits.
KeptChildren& kept_children() {
  static auto& kept = *new KeptChildren;
  return kept;
}

/// The default late reaper.
void keep(Fd pidfd) noexcept {
  try {
    KeptChildren& kept = kept_children();
    const std::lock_guard lock(kept.mutex);
    kept.pidfds.push_back(std::move(pidfd));
  } catch (...) {
    // Without memory, the child is left to the process that inherits it.
  }
}

std::atomic<void (*)(Fd) noexcept> late_reaper = keep;

void reap_kept() noexcept {
  if (late_reaper.load() != keep) {
    return;
  }
  KeptChildren& kept = kept_children();
  const std::lock_guard lock(kept.mutex);
  std::erase_if(kept.pidfds, is_reaped);
}

}  // namespace

bool ends_while_reaping(int pidfd, std::chrono::milliseconds timeout) noexcept {
  using Clock = std::chrono::steady_clock;
  constexpr std::chrono::milliseconds interval(10);
  const Clock::time_point deadline = Clock::now() + timeout;
  for (;;) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now());
    const bool is_last = timeout.count() >= 0 && left <= interval;
    if (ends_within(pidfd, is_last ? std::max(left, left.zero()) : interval)) {
      return true;
    }
    if (errno != ETIMEDOUT || is_last) {
      return false;
    }
    reap_kept();
  }
}

siginfo_t await_end(int pidfd, int flags) noexcept {
  // waitid(2) would also wait for the tracer.
  ends_while_reaping(pidfd, std::chrono::milliseconds(-1));
  siginfo_t info{};
  wait_for_child(pidfd, WNOHANG | flags, info);
  return info;
}

void reap_late_by(void (*reaper)(Fd) noexcept) noexcept { late_reaper = reaper; }

void reap_ending(Fd pidfd, std::chrono::milliseconds timeout) noexcept {
  if (is_reaped(pidfd)) {
    return;
  }
  ends_while_reaping(pidfd.get(), timeout);
  if (!is_reaped(pidfd)) {
    late_reaper.load()(std::move(pidfd));
  }
}

}  // namespace tare

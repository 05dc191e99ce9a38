#include "spawn_end.h"

#include <poll.h>
#include <sys/wait.h>

#include <cerrno>
#include <mutex>
#include <new>
#include <utility>
#include <vector>

namespace tare {
namespace {

/// Children that are still to be reaped.
struct Unreaped {
  std::mutex mutex;
  std::vector<Fd> pidfds;
};

Unreaped& unreaped() {
  // Never destroyed: threads may need it while the process ends.
  static Unreaped* const all = new Unreaped;
  return *all;
}

/// False where it has not ended, or is traced.
bool is_reaped(const Fd& pidfd) noexcept {
  siginfo_t info{};
  const auto id = static_cast<id_t>(pidfd.get());
  return waitid(P_PIDFD, id, &info, WEXITED | WNOHANG | __WALL) < 0 || info.si_pid != 0;
}

}  // namespace

siginfo_t await_end(int pidfd, int flags) noexcept {
  // Not waitid(2), which would wait for the tracer, too.
  pollfd ended{pidfd, POLLIN, 0};
  while (poll(&ended, 1, -1) < 0 && errno == EINTR) {
  }
  siginfo_t info{};
  waitid(P_PIDFD, static_cast<id_t>(pidfd), &info, WEXITED | WNOHANG | __WALL | flags);
  return info;
}

void reap_ending(Fd pidfd, std::chrono::milliseconds timeout) noexcept {
  if (is_reaped(pidfd)) {
    return;
  }
  pollfd ended{pidfd.get(), POLLIN, 0};
  poll(&ended, 1, static_cast<int>(timeout.count()));
  Unreaped& all = unreaped();
  const std::lock_guard lock(all.mutex);
  std::erase_if(all.pidfds, is_reaped);
  if (is_reaped(pidfd)) {
    return;
  }
  try {
    all.pidfds.push_back(std::move(pidfd));
  } catch (const std::bad_alloc&) {
    // Then it stays until this process ends.
  }
}

}  // namespace tare

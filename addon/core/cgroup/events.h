/// \file
/// Waiting for changes of a cgroup.
#pragma once

#include <poll.h>

#include <chrono>
#include <string_view>
#include <vector>

#include "tare/fd.h"

namespace tare {

/// cgroup.events: poll(2) reports POLLPRI when it has changed since it was read.
class CgroupEvents {
 public:
  explicit CgroupEvents(int directory);

  int fd() const noexcept { return fd_.get(); }

  /// Returns the value of a key; false if the cgroup is gone.
  bool read(std::string_view key) const;

 private:
  Fd fd_;
};

/// No deadline for poll_until().
inline constexpr auto no_deadline = std::chrono::steady_clock::time_point::max();
/// Calls poll(2) until `deadline`; returns false if that passes.
bool poll_until(std::vector<pollfd>& fds, std::chrono::steady_clock::time_point deadline);

}  // namespace tare

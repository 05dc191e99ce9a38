#include "cgroup/events.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdint>

#include "cgroup/walk.h"
#include "tare/error.h"

namespace tare {

using Clock = std::chrono::steady_clock;

CgroupEvents::CgroupEvents(int directory)
    : fd_(open_or_none(directory, "cgroup.events", O_RDONLY)) {
  if (!fd_ && !is_gone(errno)) {
    throw_errno("open", "cgroup.events");
  }
}

bool CgroupEvents::read(std::string_view key) const {
  std::array<char, 256> text;
  ssize_t size = 0;
  do {
    size = fd_ ? pread(fd_.get(), text.data(), text.size(), 0) : 0;
  } while (size < 0 && errno == EINTR);
  if (size < 0 && errno != ENODEV) {
    throw_errno("pread64", "cgroup.events");
  }
  const std::string_view all(text.data(), static_cast<std::size_t>(std::max<ssize_t>(size, 0)));
  const std::size_t at = all.find(key);
  return at != std::string_view::npos && all.substr(at + key.size()).starts_with(" 1");
}

bool poll_until(std::vector<pollfd>& fds, Clock::time_point deadline) {
  for (;;) {
    int timeout = -1;
    if (deadline != no_deadline) {
      const auto left =
          std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now()).count();
      timeout = static_cast<int>(std::max<std::int64_t>(left, 0));
    }
    const int ready = poll(fds.data(), fds.size(), timeout);
    if (ready >= 0) {
      return ready > 0;
    }
    if (errno != EINTR) {
      throw_errno("poll", "cgroup.events");
    }
  }
}

}  // namespace tare

/// \file
/// Notification of events in a cgroup.
#pragma once

#include <cstdint>

#include "tare/fd.h"

namespace tare {

/// Events since the last take().
struct CgroupEvent {
  std::uint64_t oom_kills = 0;  ///< processes killed by the OOM killer
  bool ended = false;           ///< no process is left
};

/// Watches a cgroup and all below it by inotify(7).
class CgroupWatch {
 public:
  /// Watches the cgroup at `directory`; does not keep that descriptor.
  explicit CgroupWatch(int directory);

  /// Becomes readable (poll(2)) when there may be events.
  int fd() const noexcept { return inotify_.get(); }
  /// False if the cgroup does not have the memory controller and so reports no OOM kills.
  bool tells_oom() const noexcept { return static_cast<bool>(memory_events_); }
  /// Returns the new events. Does not block.
  CgroupEvent take();

 private:
  Fd inotify_;
  Fd events_;         ///< cgroup.events
  Fd memory_events_;  ///< memory.events
  std::uint64_t oom_kills_ = 0;
};

}  // namespace tare

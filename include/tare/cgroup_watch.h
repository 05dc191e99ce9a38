/// \file
/// Notice of what happens to the processes of a cgroup.
#pragma once

#include <cstdint>

#include "tare/fd.h"

namespace tare {

/// What has happened since the last look.
struct CgroupNews {
  std::uint64_t oom_kills = 0;  ///< processes that were killed for want of memory
  bool ended = false;           ///< no process is left
};

/// Watches a cgroup and all below it by inotify(7).
class CgroupWatch {
 public:
  /// Watches the cgroup that `directory` is open on, and keeps no hold of that descriptor.
  explicit CgroupWatch(int directory);

  /// Readable, for poll(2), when there may be news.
  int fd() const noexcept { return inotify_.get(); }
  /// False where the cgroup does not have the memory controller, and so tells of no kills.
  bool tells_oom() const noexcept { return static_cast<bool>(memory_events_); }
  /// What is new. Does not wait.
  CgroupNews take();

 private:
  Fd inotify_;
  Fd events_;         ///< cgroup.events
  Fd memory_events_;  ///< memory.events
  std::uint64_t oom_kills_ = 0;
};

}  // namespace tare

// The init of a container that criu(8) has restored.
#pragma once

#include <sys/types.h>

#include <string>
#include <utility>
#include <vector>

#include "tare/fd.h"
#include "tare/spec.h"

namespace tare {

/// An init that criu has restored and that no Container owns yet. Killed and reaped when destroyed,
/// unless released.
class RestoredInit {
 public:
  RestoredInit() = default;
  ~RestoredInit();
  RestoredInit(const RestoredInit&) = delete;
  RestoredInit& operator=(const RestoredInit&) = delete;

  /// Takes the pid that criu reports, which it does more than once.
  void note(pid_t pid);
  pid_t pid() const noexcept { return pid_; }
  int pidfd() const noexcept { return pidfd_.get(); }
  Fd release() { return std::move(pidfd_); }

 private:
  pid_t pid_ = 0;
  Fd pidfd_;
};

/// Makes mounts read-only that criu mounts as they are on the host: the root, and bind mounts over
/// a part of another mount of the host's.
void make_read_only(const RestoredInit& container, const std::vector<std::string>& paths);
/// Whether process `pid` is in another time namespace than this process.
bool is_in_time_namespace(pid_t pid);
/// Whether no_new_privs was lost: criu before 3.19 neither saves nor sets it, and no other process
/// can set it.
bool has_lost_no_new_privileges(const Process& process, pid_t pid);
/// Sets up the loopback device, which is up in every container: criu makes an empty network
/// namespace.
void prepare_network(const Spec& spec, pid_t pid);

}  // namespace tare

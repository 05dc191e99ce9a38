// kill: signals a container's init, or all of its processes.
#include <signal.h>

#include "container/impl.h"
#include "tare/error.h"

namespace tare {

void Container::kill(int signal, bool all) {
  const ErrorContext context("kill", id());
  const Fd init = open_process(impl_->record.pid, impl_->record.start_time);
  if (!init) {
    // Without a pid namespace of the container's own, its other processes outlive init.
    const bool outlived = signal == SIGKILL && !impl_->record.own_pid_namespace;
    Cgroup cgroup = all || outlived ? impl_->cgroup() : Cgroup();
    if (!all && (!outlived || cgroup.processes().empty())) {
      throw Error(ErrorKind::bad_status, "container not running");
    }
    if (cgroup && signal == SIGKILL) {
      cgroup.kill_all();
    } else if (cgroup) {
      cgroup.signal_all(signal);
    }
    return;
  }
  // Without a pid namespace of the container's own, its other processes do not end with init.
  if (signal == SIGKILL && (all || !impl_->record.own_pid_namespace)) {
    Cgroup cgroup = impl_->cgroup();
    if (cgroup) {
      cgroup.kill_all();
      return;
    }
  }
  if (!signal_init(init.get(), impl_->record.has_reaper, signal)) {
    throw Error(ErrorKind::bad_status, "container not running");
  }
}

}  // namespace tare

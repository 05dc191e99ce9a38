// pause and resume.
#include "container_impl.h"
#include "tare/error.h"

namespace tare {

void Container::pause() {
  const Doing doing("pause", id());
  const Locked locked(impl_->dir, impl_->runtime);
  impl_->refresh();
  switch (impl_->status()) {
    case Status::created:
    case Status::running:
      break;
    case Status::paused:
      throw Error(ErrorKind::bad_status, "container not running: it is paused already");
    default:
      throw Error(ErrorKind::bad_status, "container not running");
  }
  Cgroup cgroup = impl_->cgroup();
  cgroup.freeze(true);
  // Frozen first: whoever asks between the two steps must not take it for one that was thawed.
  impl_->dir.bar_start_gate();
}

void Container::resume() {
  const Doing doing("resume", id());
  const Locked locked(impl_->dir, impl_->runtime);
  if (impl_->status() != Status::paused) {
    throw Error(ErrorKind::bad_status, "container not paused");
  }
  Cgroup cgroup = impl_->cgroup();
  impl_->dir.unbar_start_gate();
  cgroup.freeze(false);
}

}  // namespace tare

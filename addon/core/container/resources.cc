// pause, resume and update.
#include "container/impl.h"
#include "container/systemd_unit.h"
#include "tare/error.h"
#include "tare/validate.h"

namespace tare {

void Container::pause() {
  const ErrorContext context("pause", id());
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
  // Bar the gate before freezing (and unbar it after thawing): a paused container is never seen
  // with an open gate.
  impl_->dir.start_gate().bar();
  try {
    cgroup.freeze(true);
  } catch (...) {
    impl_->dir.start_gate().unbar();
    throw;
  }
}

void Container::resume() {
  const ErrorContext context("resume", id());
  const Locked locked(impl_->dir, impl_->runtime);
  if (impl_->status() != Status::paused) {
    throw Error(ErrorKind::bad_status, "container not paused");
  }
  Cgroup cgroup = impl_->cgroup();
  cgroup.freeze(false);
  impl_->dir.start_gate().unbar();
}

void Container::update(const Resources& changes, const std::string& name) {
  const ErrorContext context("update", id());
  const Locked locked(impl_->dir, impl_->runtime);
  if (impl_->status() == Status::stopped) {
    throw Error(ErrorKind::bad_status, "container not running");
  }
  const auto remembered = impl_->dir.read_resources();
  Resources before = remembered
                         ? parse_resources(*remembered, impl_->dir.path() + "/resources.json")
                         : spec().linux_.resources;
  Resources wanted = changes;
  if (impl_->record.has_reaper) {
    make_room_for_reaper(wanted);
    if (!remembered) {
      make_room_for_reaper(before);
    }
  }
  validate_resources(updated_resources(before, wanted), name);
  const std::string prefix = name + ": ";
  for (const std::string& warning : ignored_resources(wanted, prefix)) {
    warn(impl_->runtime, "update " + id() + ": " + warning);
  }
  ResourcesChange change = change_of_resources(before, wanted);
  Cgroup cgroup = impl_->cgroup();
  UnitChange unit(impl_->record, impl_->runtime, cgroup, change, prefix);
  cgroup.change(change, prefix, [&] { impl_->dir.write_resources(resources_json(change.after)); });
  unit.keep();
}

}  // namespace tare

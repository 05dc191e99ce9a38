#include "container/create_rollback.h"

#include "container/host_mounts.h"
#include "tare/error.h"

namespace tare {

CreateRollback::~CreateRollback() {
  if (kept_) {
    return;
  }
  process_.reset();
  bool left = false;
  try {
    if (cgroup_ && (cgroup_.made() || unit_ != nullptr)) {
      cgroup_.kill_all();
      cgroup_.remove();
    }
  } catch (const Error&) {
    // Only the first failure is reported. The leftovers are noted, and `delete --force` removes
    // them.
    left = true;
  }
  if (unit_ != nullptr) {
    unit_->stop();
  }
  try {
    remove_rdt(dir_);
    if (mounts_on_host(spec_)) {
      detach_root_mount(dir_);
    }
    if (!left) {
      if (first_own_id_ != 0) {
        release_id_range(first_own_id_, dir_.path());
      }
      dir_.remove();
    }
  } catch (const Error&) {
  }
  if (hooks_ran_) {
    run_poststop_hooks(spec_.hooks.poststop, record_, runtime_);
  }
}

}  // namespace tare

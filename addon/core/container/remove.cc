// Removes containers, and the leftovers of a create() that did not complete.
#include <signal.h>

#include <cerrno>
#include <chrono>
#include <string>
#include <utility>

#include "container/hooks.h"
#include "container/host_mounts.h"
#include "container/id_ranges.h"
#include "container/impl.h"
#include "container/systemd_unit.h"
#include "spawn/process_end.h"
#include "tare/error.h"
#include "tare/pidfd.h"

namespace tare {

namespace {

constexpr std::chrono::milliseconds no_limit(-1);

std::string process_name(pid_t pid) { return "process " + std::to_string(pid); }

/// Returns false if `timeout` passes before init ends. Throws `system`.
bool init_ends_within(const Fd& init, pid_t pid, std::chrono::milliseconds timeout) {
  const bool ended = ends_while_reaping(init.get(), timeout);
  if (!ended && errno != ETIMEDOUT) {
    throw_errno("poll", process_name(pid));
  }
  return ended;
}

/// Waits for init's end, for a container without a cgroup to wait for. An init that is ending
/// counts as stopped before it is gone.
void await_end(const StateRecord& record) {
  const Fd init = open_pidfd(record.pid);
  if (init && start_time_of(record.pid) == record.start_time) {
    init_ends_within(init, record.pid, no_limit);
  }
}

/// How long `delete --force` lets another command wait for a hook or criu before it kills that.
constexpr std::chrono::seconds blocking_child_timeout(1);

}  // namespace

void Container::remove(bool force) {
  const ErrorContext context("delete", id());
  if (!(force ? impl_->dir.lock_by_force(blocking_child_timeout) : impl_->dir.lock())) {
    if (force) {
      return;  // another process has removed it
    }
    throw no_such_container(id(), impl_->runtime.root);
  }
  const Unlock unlock(impl_->dir);
  impl_->refresh();
  if (is_alive(impl_->record.pid, impl_->record.start_time)) {
    const Status status = impl_->status();
    if (!force && (status == Status::running || status == Status::paused)) {
      throw Error(ErrorKind::bad_status, "cannot delete container " + id() +
                                             " that is not stopped: " + status_name(status) +
                                             "; kill it first, or use --force");
    }
    end_init();
  }
  destroy(impl_->take_cgroup());
}

std::optional<CgroupTotals> Container::end() {
  const ErrorContext context("delete", id());
  if (!impl_->dir.lock()) {
    return std::nullopt;  // another process has removed it
  }
  const Unlock unlock(impl_->dir);
  impl_->refresh();
  end_init();
  Cgroup cgroup = impl_->take_cgroup();
  const auto totals = cgroup ? std::optional(cgroup.totals()) : std::nullopt;
  destroy(std::move(cgroup));
  return totals;
}

void Container::end_init() {
  const pid_t pid = impl_->record.pid;
  const Fd init = open_process(pid, impl_->record.start_time);
  if (!init || !send_signal(init.get(), SIGKILL, process_name(pid))) {
    return;
  }
  // Init ends when all processes of its pid namespace are reaped. A process that exec has just made
  // there is reaped by exec's caller, once the process that made it has reported it; that one is
  // not in the pid namespace, and may be frozen with the cgroup, so the cgroup is killed. It is
  // killed only after init is ending: no process may be seen killed in a container that is seen
  // alive.
  constexpr std::chrono::milliseconds usual(10);
  while (!init_ends_within(init, pid, usual)) {
    if (is_alive(pid, impl_->record.start_time)) {
      continue;
    }
    Cgroup cgroup = impl_->cgroup();
    if (cgroup) {
      cgroup.kill_all();
    }
    init_ends_within(init, pid, no_limit);
    return;
  }
}

void Container::destroy(Cgroup cgroup) {
  // A process that is still noted was left by a command that was killed.
  impl_->dir.journal().kill_blocking_child();
  if (cgroup) {
    if (!impl_->record.own_pid_namespace) {
      cgroup.kill_all();
    }
    // A process that exec is starting may not be in the container's pid namespace yet, and does not
    // end with init.
    cgroup.remove(true);
  } else {
    await_end(impl_->record);
  }
  if (impl_->record.has_rdt) {
    remove_rdt(impl_->dir);
  }
  stop_unit(impl_->record, impl_->runtime);
  if (impl_->record.mounts_on_host) {
    detach_root_mount(impl_->dir);
  }
  const std::vector<Hook> poststop = poststop_hooks();
  if (impl_->record.first_own_id != 0) {
    release_id_range(impl_->record.first_own_id, impl_->dir.path());
  }
  impl_->dir.remove();
  run_poststop_hooks(poststop, impl_->record, impl_->runtime);
}

std::vector<Hook> Container::poststop_hooks() const {
  try {
    return impl_->record.has_hooks ? spec().hooks.poststop : std::vector<Hook>{};
  } catch (const Error& error) {
    // A damaged config must not keep the container from being removed.
    warn(impl_->runtime, std::string(error.what()) + "; poststop hooks are not run");
    return {};
  }
}

void run_poststop_hooks(const std::vector<Hook>& hooks, const StateRecord& record,
                        const Runtime& runtime) {
  const std::string state = hooks.empty() ? "" : hook_state(record, Status::stopped, 0);
  for (std::size_t i = 0; i < hooks.size(); ++i) {
    try {
      run_host_hook("poststop", i, hooks[i], state, record.bundle);
    } catch (const Error& error) {
      warn(runtime, error.what());
    }
  }
}

namespace {

/// Removes everything in the journal of a create() that died.
void remove_journaled(const StateDir& dir) {
  // If create() has not let init go, init ends with it. Hooks, and processes that they started, may
  // be in the cgroup.
  Cgroup cgroup = Cgroup::open(find_cgroup_host(), dir.journal().cgroup());
  const bool known = dir.has_config();
  if (cgroup && known) {
    cgroup.kill_all();
  }
  if (cgroup && (known || cgroup.empties())) {
    cgroup.remove();
  }
  remove_rdt(dir);
  detach_root_mount(dir);
}

/// Returns the record; none if create() has not written it, or it is damaged.
std::optional<StateRecord> whole_record(const StateDir& dir) {
  try {
    return dir.read();
  } catch (const Error&) {
    return std::nullopt;
  }
}

}  // namespace

void remove_locked(const Runtime& runtime, StateDir dir) {
  if (std::optional<StateRecord> record = whole_record(dir)) {
    auto impl = std::make_unique<Container::Impl>();
    impl->runtime = runtime;
    impl->record = std::move(*record);
    impl->dir = std::move(dir);
    Container(std::move(impl)).remove(true);
    return;
  }
  const std::string id = dir.id();
  const ErrorContext context("delete", id);
  if (!dir.is_anothers()) {
    remove_journaled(dir);
  }
  dir.remove();
}

bool remove_leftovers(const Runtime& runtime, const std::string& id) {
  const Runtime resolved = resolve_runtime(runtime);
  if (StateDir::remove_stray(resolved.root, id)) {
    return true;
  }
  auto dir = StateDir::open(resolved.root, id);
  if (!dir.has_value() || !dir->lock()) {
    return false;
  }
  remove_locked(resolved, std::move(*dir));
  return true;
}

}  // namespace tare

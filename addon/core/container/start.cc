// start: startContainer hooks, the program, poststart hooks.
#include "container/hooks.h"
#include "container/impl.h"
#include "state/blocking_child.h"
#include "tare/error.h"

namespace tare {
namespace {

/// Runs startContainer hooks, which need the container's config; most containers have none.
void run_start_hooks(const Spec& spec, const StateRecord& record, const Runtime& runtime, int pidfd,
                     int cgroup, const std::function<void(pid_t)>& started) {
  if (spec.hooks.start_container.empty()) {
    return;
  }
  Host host = find_host(record.bundle, find_cgroup_host());
  complete_host(host, spec, *spec.process);
  host.seccomp = container_filter(spec.linux_.seccomp, runtime);
  const pid_t pid = pid_inside(record.pid);
  run_container_hooks(
      "startContainer", spec.hooks.start_container, hook_state(record, Status::created, pid), spec,
      host, {record.pid, pidfd}, cgroup,
      [&](InitProcess& init) {
        SeccompAgent(spec).serve(init, spec_state(record, Status::created, record.pid));
      },
      started);
}

/// Returns the error for a failure that init reported after the gate. Its op is counted from the
/// plan's end, which does not depend on how the container was created.
Error start_error(const wire::StartFailure& failure, const Spec& spec) {
  Host host;
  if (spec.linux_.seccomp.has_value()) {
    host.seccomp = compile_seccomp(*spec.linux_.seccomp, {});
  }
  PlanOptions options;
  options.start_gate = true;
  const Plan plan = make_plan(spec, host, options);
  const auto op = static_cast<std::uint32_t>(plan.ops().size()) - failure.from_end;
  return init_error(plan, op, static_cast<int>(failure.value),
                    static_cast<wire::Step>(failure.step), "");
}

void refuse_unless_created(Status status) {
  switch (status) {
    case Status::stopped:
      throw Error(ErrorKind::bad_status, "cannot start a container that has stopped");
    case Status::running:
      throw Error(ErrorKind::bad_status, "cannot start an already running container");
    case Status::paused:
      throw Error(ErrorKind::bad_status,
                  "cannot start a container in the paused state; resume it first");
    case Status::creating:
    case Status::created:
      break;
  }
}

}  // namespace

void Container::start() {
  const ErrorContext context("start", id());
  const Locked locked(impl_->dir, impl_->runtime);
  impl_->refresh();
  refuse_unless_created(impl_->status());
  if (!impl_->record.has_process) {
    throw no_process();
  }
  const bool has_hooks = impl_->record.has_hooks;
  const Spec none;
  const Spec& config = has_hooks ? spec() : none;
  const Fd init = pidfd();
  const auto stop = [this] {
    try {
      end_init();
    } catch (const Error& error) {
      // The first failure is the one to throw.
      warn(impl_->runtime, error.what());
    }
    impl_->dir.start_gate().close();
  };
  try {
    BlockingChild child(impl_->dir, impl_->cancellation.get());
    if (has_hooks) {
      const Cgroup cgroup = impl_->cgroup();
      run_start_hooks(config, impl_->record, impl_->runtime, init.get(), cgroup.fd(),
                      child.on_start());
    }
    const StartAnswer answer = impl_->dir.start_gate().let_pass();
    if (answer.failed) {
      throw start_error(answer.failure, has_hooks ? config : spec());
    }
    if (has_hooks) {
      run_host_hooks("poststart", config.hooks.poststart,
                     hook_state(impl_->record, Status::running, impl_->record.pid),
                     impl_->record.bundle, child.on_start());
    }
  } catch (const Error& error) {
    stop();
    if (error.kind() == ErrorKind::hook_failed) {
      // runtime.md "Lifecycle", 7 and 9: a failed hook leads to step 12.
      destroy(impl_->take_cgroup());
    }
    throw;
  } catch (...) {
    stop();
    throw;
  }
  impl_->dir.start_gate().close();
}

}  // namespace tare

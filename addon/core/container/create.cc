// create: from a bundle to a container that waits at its start gate, or runs.
#include <optional>
#include <string>

#include "container/bundle.h"
#include "container/creation.h"
#include "container/hooks.h"
#include "container/impl.h"
#include "container/systemd_unit.h"
#include "state/blocking_child.h"
#include "tare/error.h"
#include "tare/pidfd.h"
#include "tare/validate.h"

namespace tare {
namespace {

/// Returns the path that the cgroup of a container named ID would have.
std::string planned_cgroup(const Spec& spec, const Runtime& runtime) {
  if (!runtime.systemd_cgroup) {
    const std::string& path = spec.linux_.cgroups_path;
    return path.starts_with('/') ? path : "/ID";
  }
  // Throws the errors that create() would throw.
  annotated_properties(spec);
  SystemdUnit unit = systemd_unit_for(spec, "ID");
  if (unit.slice.empty()) {
    unit.slice = systemd_default_slice(runtime.rootless.value_or(false) ? SystemdManager::user
                                                                        : SystemdManager::system);
  }
  return systemd_unit_path(unit);
}

}  // namespace

std::string Container::plan_text(const Runtime& runtime, const CreateOptions& options, bool json) {
  const Bundle bundle = read_bundle(options);
  // The plan of a caller with all needed privileges: the printed plan does not depend on its
  // reader.
  Host host;
  host.bundle = bundle.path;
  host.rootless = runtime.rootless.value_or(false);
  host.in_user_namespace = host.rootless;
  host.enters_cgroup = runtime.systemd_cgroup;
  host.cgroup_dir = "/sys/fs/cgroup" + planned_cgroup(bundle.spec, runtime);
  host.has_apparmor = true;
  host.has_selinux = !bundle.spec.linux_.mount_label.empty();
  host.symlinks = copied_symlinks(bundle.spec, bundle.path);
  host.device_nodes = device_nodes(bundle.spec, host);
  if (bundle.spec.linux_.seccomp.has_value()) {
    host.seccomp = compile_seccomp(*bundle.spec.linux_.seccomp, {});
  }
  const Plan plan = make_plan(bundle.spec, host, create_plan_options("ID", options, bundle.spec));
  return json ? plan.to_json() : plan.to_text();
}

void expect_many_containers() noexcept { keep_init_image(); }

Container Container::create(const Runtime& given, const std::string& id,
                            const CreateOptions& options) {
  std::optional<ErrorContext> context(std::in_place, "create", id);
  validate_id(id);
  auto impl = std::make_unique<Impl>();
  impl->runtime = resolve_runtime(given);
  impl->cancellation = options.cancellation;
  Creation creation(impl->runtime, id, options, impl->dir, impl->record);
  creation.prepare();
  creation.make_resources();
  creation.spawn_init();
  creation.set_up_init();
  creation.let_init_go();
  impl->init = creation.hand_over();
  impl->created_cgroup = creation.take_cgroup();
  impl->dir.unlock();
  Container container(std::move(impl));
  if (!options.start_gate) {
    // Errors from here on begin with "start".
    context.reset();
    container.finish_run(creation.hooks().poststart, creation.has_start_gate());
  }
  container.impl_->cancellation.reset();
  return container;
}

void Container::finish_run(const std::vector<Hook>& poststart, bool holds_gate) {
  if (!holds_gate && poststart.empty()) {
    return;
  }
  try {
    if (holds_gate) {
      start();
    } else {
      const ErrorContext context("start", id());
      // This thread does not hold the lock; the note lets delete kill the hook that it waits for.
      BlockingChild child(impl_->dir, impl_->cancellation.get());
      // A short program may have ended already: the hook's state has its pid all the same.
      run_host_hooks("poststart", poststart,
                     hook_state(impl_->record, Status::running, impl_->record.pid),
                     impl_->record.bundle, child.on_start());
    }
  } catch (...) {
    const StartedProcess process = take_init();
    remove(true);
    reap(process.pidfd.get());
    throw;
  }
}

}  // namespace tare

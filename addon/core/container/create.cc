// create: from a bundle to a container that waits at its start gate, or runs.
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "container/bundle.h"
#include "container/create_rollback.h"
#include "container/hooks.h"
#include "container/host_mounts.h"
#include "container/id_ranges.h"
#include "container/impl.h"
#include "container/systemd_unit.h"
#include "host/net_devices.h"
#include "tare/error.h"
#include "tare/pidfd.h"
#include "tare/unix_socket.h"
#include "tare/validate.h"

namespace tare {
namespace {

void add_notify_mount(Bundle& bundle, const std::string& directory) {
  Mount mount;
  mount.destination = "/run/notify";
  mount.type = "bind";
  mount.source = directory;
  mount.options = {"bind", "ro", "nosuid", "nodev", "noexec"};
  bundle.spec.mounts.push_back(mount);
  bundle.spec.process->env.emplace_back("NOTIFY_SOCKET=/run/notify/notify.sock");
}

/// Runs the prestart, createRuntime and createContainer hooks: the mounts are made, and the old
/// root is still there. The create operation ends after these hooks, so by runtime.md "State" the
/// status is "creating".
void run_create_hooks(const Spec& spec, const StateRecord& record, const Host& host,
                      InitProcess& init, int cgroup, StateDir& dir, Cancellation* cancellation) {
  Awaited awaited(dir, cancellation);
  const std::string state = hook_state(record, Status::creating, init.pid());
  run_host_hooks("prestart", spec.hooks.prestart, state, record.bundle, awaited.note());
  run_host_hooks("createRuntime", spec.hooks.create_runtime, state, record.bundle, awaited.note());
  if (spec.hooks.create_container.empty()) {
    return;
  }
  try {
    run_container_hooks(
        "createContainer", spec.hooks.create_container,
        hook_state(record, Status::creating, pid_inside(init.pid())), spec, host,
        {init.pid(), init.pidfd()}, cgroup, [](InitProcess&) {}, awaited.note());
  } catch (const Error&) {
    // If init has ended, no hook can join its namespaces: finish() throws the reason for init's
    // end.
    pollfd ended{init.pidfd(), POLLIN, 0};
    if (poll(&ended, 1, 0) > 0) {
      init.finish();
    }
    throw;
  }
}

PlanOptions plan_options(const std::string& id, const CreateOptions& options, const Spec& spec) {
  PlanOptions result;
  result.id = id;
  result.no_pivot = options.no_pivot;
  result.no_new_keyring = options.no_new_keyring;
  // startContainer hooks run between the gate and the program.
  result.start_gate = options.start_gate || !spec.hooks.start_container.empty();
  result.ends_with_caller = options.ends_with_caller;
  result.reaper = options.reaper && spec.makes_namespace(NamespaceType::pid);
  result.preserve_fds = static_cast<std::uint32_t>(options.stdio.preserved.size());
  result.extra_env = options.extra_env;
  result.root_entries = options.root_entries;
  return result;
}

/// Moves init to the cgroup `path` below the container's. Does nothing if `path` is empty.
void enter_below(const Cgroup& cgroup, const std::string& path, const InitProcess& init,
                 const Spec& spec, const Host& host) {
  if (path.empty()) {
    return;
  }
  Cgroup below = cgroup.below(path);
  if (const int error = below.add(init.pid()); error != 0) {
    throw_errno(error, "write", below.path() + "/cgroup.procs");
  }
  delegate_cgroup(below, spec, host);
}

/// Moves network devices to the container. Called before init goes on: it may set sysctls of these
/// devices.
void give_net_devices(const Spec& spec, const InitProcess& init) {
  if (spec.linux_.net_devices.empty()) {
    return;
  }
  const std::string& joined = spec.find_namespace(NamespaceType::network)->path;
  const Fd network = open_file(
      AT_FDCWD, joined.empty() ? "/proc/" + std::to_string(init.pid()) + "/ns/net" : joined,
      O_RDONLY);
  move_net_devices(spec.linux_.net_devices, network.get(), open_netlink_socket_in(network.get()));
}

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
  const Plan plan = make_plan(bundle.spec, host, plan_options("ID", options, bundle.spec));
  return json ? plan.to_json() : plan.to_text();
}

namespace {

/// Spawns init in `cgroup`. A cgroup in a threaded subtree takes processes only if it is threaded
/// itself; as this is rare, it is detected by the failure (EOPNOTSUPP).
InitProcess spawn_in(const Cgroup& cgroup, const Plan& plan, const SpawnOptions& options) {
  try {
    return spawn(plan, options);
  } catch (const Error& error) {
    if (error.errnum() != EOPNOTSUPP || !cgroup.become_threaded()) {
      throw;
    }
  }
  return spawn(plan, options);
}

}  // namespace

void expect_many_containers() noexcept { keep_init_image(); }

Container Container::create(const Runtime& given, const std::string& id,
                            const CreateOptions& options) {
  std::optional<Doing> doing(std::in_place, "create", id);
  validate_id(id);

  // Every refusal comes before the first side effect.
  auto impl = std::make_unique<Impl>();
  impl->runtime = resolve_runtime(given);
  impl->cancellation = options.cancellation;
  const Runtime& runtime = impl->runtime;
  Bundle bundle = read_bundle(options);
  if (!bundle.has_process && !options.start_gate) {
    throw no_process();
  }
  const PlanOptions planned = plan_options(id, options, bundle.spec);
  if (planned.reaper) {
    make_room_for_reaper(bundle.spec.linux_.resources);
  }
  check_console(*bundle.spec.process, options.stdio, options.allow_terminal_without_socket);
  check_rootfs(rootfs_path(bundle));
  const Fd console_socket =
      options.stdio.console_socket.empty()
          ? Fd()
          : connect_fd_socket(options.stdio.console_socket, "--console-socket");
  const Fd pidfd_socket = connect_pidfd_socket(options.stdio.pidfd_socket, bundle.spec);
  SeccompAgent agent(bundle.spec);
  const CgroupHost cgroups = find_cgroup_host();
  Host host = find_host(bundle.path, cgroups);
  const ProcessSource source;
  complete_host(host, bundle.spec, *bundle.spec.process);
  if (!bundle.spec.linux_.mount_label.empty() && !host.has_selinux && runtime.warn) {
    runtime.warn(
        "config.json: linux.mountLabel: mounts get no label, since SELinux is not enabled "
        "in this kernel");
  }
  const std::string resctrl = required_resctrl(bundle.spec);
  const bool tolerate = tolerates_permission_errors(runtime, host);
  std::optional<ContainerUnit> unit;
  if (runtime.systemd_cgroup) {
    unit.emplace(runtime, bundle.spec, id, cgroups);
  }
  const std::string cgroup_path =
      unit ? unit->cgroup_path() : cgroup_path_for(bundle.spec, id, cgroups);

  impl->dir = StateDir::create(runtime.root, id);
  HalfMade half_made(impl->dir, impl->record, bundle.spec, runtime, unit ? &*unit : nullptr);
  std::uint32_t first_own_id = 0;
  if (options.own_ids && wants_own_ids(bundle.spec)) {
    first_own_id = half_made.take_ids();
    give_own_ids(bundle, first_own_id);
  }
  if (options.notify) {
    add_notify_mount(bundle, impl->dir.make_notify_directory());
  }
  host.seccomp = container_filter(bundle.spec, runtime);
  const Resources& resources = bundle.spec.linux_.resources;
  Cgroup& cgroup = half_made.cgroup();
  // Noted before the cgroup is made, so that the cleanup after a killed create() knows of it.
  impl->dir.note_origin(options.ends_with_caller ? this_caller() : "", cgroup_path);
  if (!unit) {
    // A container with a linux.cgroupsPath is refused if that cgroup cannot be made.
    cgroup = Cgroup::create(cgroups, cgroup_path, resources,
                            tolerate && bundle.spec.linux_.cgroups_path.empty());
  }
  if (unit || cgroup) {
    host.cgroup_dir = cgroups.mount_point.empty() ? "" : cgroups.mount_point + cgroup_path;
  } else {
    impl->dir.forget_cgroup();
  }
  host.enters_cgroup = unit.has_value();

  RdtGroup rdt;
  if (!resctrl.empty()) {
    rdt = RdtGroup::create(resctrl, *bundle.spec.linux_.intel_rdt, id,
                           {[&](const std::string& directory) { impl->dir.note_rdt(directory); },
                            [&] { impl->dir.forget_rdt(); }});
  }

  const Plan plan = make_plan(bundle.spec, host, planned);
  tell_plan(runtime, plan, host.cgroup_dir);
  if (planned.start_gate) {
    impl->dir.make_start_gate();
  }
  std::vector<Fd> owned;
  SpawnOptions spawn_options;
  std::copy(std::begin(options.stdio.fds), std::end(options.stdio.fds), spawn_options.stdio);
  spawn_options.preserved = options.stdio.preserved;
  spawn_options.cgroup = cgroup.fd();
  spawn_options.passed = open_passed(plan, &impl->dir, {}, owned);
  spawn_options.namespace_owner = first_own_id;
  const bool on_host = mounts_on_host(bundle.spec);
  if (on_host) {
    note_root(impl->dir, rootfs_path(bundle));
  }
  InitProcess& init = half_made.process(spawn_in(cgroup, plan, spawn_options));
  if (impl->cancellation) {
    impl->cancellation->await_init(init.pidfd());
  }

  tell_child(runtime, init);
  // From here on init executes its plan, and the host does the rest of its work in parallel.
  impl->record = make_record(bundle, id, host.euid, options.no_new_keyring);
  impl->record.pid = init.pid();
  impl->record.has_reaper = plan.reaps();
  impl->record.first_own_id = first_own_id;
  impl->record.mounts_on_host = on_host;
  impl->record.has_rdt = static_cast<bool>(rdt);
  if (rdt) {
    rdt.add(init.pid());
  }
  give_net_devices(bundle.spec, init);
  grant_host_rights(init, plan, bundle.spec, *bundle.spec.process, source, host);
  if (unit) {
    // Wait for init first: if it fails before this op, its own error is reported instead of
    // systemd's failure to find the process.
    init.await(wire::WaitTag::cgroup);
    cgroup = unit->start(init.pid());
    unit->note(impl->record);
    unit->apply(cgroup);
    enter_below(cgroup, bundle.spec.linux_.systemd_subgroup, init, bundle.spec, host);
    init.answer(wire::WaitTag::cgroup);
  }
  impl->record.cgroup_path = cgroup.path();
  serve_fetches(init, plan, spawn_options.passed);
  owned.clear();
  if (cgroup || !tolerate) {
    if (!unit) {
      cgroup.apply(resources);
    }
    cgroup.attach_device_filter(resources.devices, tolerate);
    delegate_cgroup(cgroup, bundle.spec, host);
    limit_nesting(cgroup, bundle.spec);
  }
  reset_affinity(init.pid());
  impl->record.start_time = start_time_of(init.pid());
  impl->dir.write_config(bundle.config);
  // exec waits for the container's lock before it joins namespaces that init still sets up. With
  // hooks it does not, as a hook may call exec while start() holds the lock; then the record's
  // `creating` makes exec fail until create() is done.
  impl->record.creating = impl->record.has_hooks;
  if (has_wait(plan, wire::WaitTag::hooks)) {
    init.await(wire::WaitTag::hooks);
    half_made.hooks_run();
    // Hooks may ask for the state.
    impl->record.creating = true;
    impl->dir.write(impl->record);
    run_create_hooks(bundle.spec, impl->record, host, init, cgroup.fd(), impl->dir,
                     impl->cancellation.get());
    impl->record.creating = impl->record.has_hooks;
    init.answer(wire::WaitTag::hooks);
  }
  impl->dir.write(impl->record);
  set_scheduling(init, plan, *bundle.spec.process, source, !resources.cpu.cpus.empty());
  const bool at_go = prepare_console(init, *bundle.spec.process, options.prepare_console);
  const bool delegates = !bundle.spec.linux_.delegate_cgroup.empty();
  if (!at_go && (on_host || delegates)) {
    init.await(wire::WaitTag::go);
  }
  if (on_host) {
    note_root_mount(impl->dir);
  }
  if (delegates) {
    // By now init has made its cgroup namespace.
    enter_below(cgroup, cgroup_below(bundle.spec, unit.has_value()), init, bundle.spec, host);
  }
  init.answer(wire::WaitTag::go);
  agent.serve(init, told_state(impl->record, Status::creating, init.pid()));
  finish(runtime, init,
         planned.start_gate ? "init: about to wait at the start gate" : "init: about to exec");
  if (impl->record.creating) {
    impl->record.creating = false;
    impl->dir.write(impl->record);
  }

  StartedProcess process = deliver(init, console_socket.get(), pidfd_socket.get());
  write_pid_file(options.pid_file, process.pid);
  for (const std::string& warning : bundle.spec.warnings) {
    impl->warn(warning);
  }
  for (const std::string& warning : unit ? unit->warnings() : std::vector<std::string>()) {
    impl->warn(warning);
  }
  process.ending = init.take_ending();
  process.pidfd = init.release();
  impl->init = std::move(process);
  impl->created_cgroup = std::move(cgroup);
  half_made.keep();
  impl->dir.unlock();
  Container container(std::move(impl));
  if (!options.start_gate) {
    // Errors from here on begin with "start".
    doing.reset();
    container.finish_run(bundle.spec.hooks.poststart, planned.start_gate);
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
      const Doing doing("start", id());
      // This thread does not hold the lock; the note lets delete kill the hook that it waits for.
      Awaited awaited(impl_->dir, impl_->cancellation.get());
      // A short program may have ended already: the hook's state has its pid all the same.
      run_host_hooks("poststart", poststart,
                     hook_state(impl_->record, Status::running, impl_->record.pid),
                     impl_->record.bundle, awaited.note());
    }
  } catch (...) {
    const StartedProcess process = take_init();
    remove(true);
    reap(process.pidfd.get());
    throw;
  }
}

}  // namespace tare

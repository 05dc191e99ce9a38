#include "container/creation.h"

#include <fcntl.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <utility>

#include "container/hooks.h"
#include "container/host_mounts.h"
#include "container/id_ranges.h"
#include "container/new_container.h"
#include "container/prepared_config.h"
#include "host/net_devices.h"
#include "state/blocking_child.h"
#include "tare/error.h"
#include "tare/pidfd.h"
#include "tare/unix_socket.h"

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
  BlockingChild child(dir, cancellation);
  const std::string state = hook_state(record, Status::creating, init.pid());
  run_host_hooks("prestart", spec.hooks.prestart, state, record.bundle, child.on_start());
  run_host_hooks("createRuntime", spec.hooks.create_runtime, state, record.bundle,
                 child.on_start());
  if (spec.hooks.create_container.empty()) {
    return;
  }
  try {
    run_container_hooks(
        "createContainer", spec.hooks.create_container,
        hook_state(record, Status::creating, pid_inside(init.pid())), spec, host,
        {init.pid(), init.pidfd()}, cgroup, [](InitProcess&) {}, child.on_start());
  } catch (const Error& error) {
    // If init has ended, or is just ending (ESRCH), no hook can join its namespaces: finish()
    // throws the reason for init's end.
    const auto patience = std::chrono::milliseconds(error.errnum() == ESRCH ? 1000 : 0);
    if (ends_within(init.pidfd(), patience)) {
      init.finish();
    }
    throw;
  }
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

PlanOptions create_plan_options(const std::string& id, const CreateOptions& options,
                                const Spec& spec) {
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

void Creation::prepare() {
  bundle_ = read_bundle(options_);
  if (!bundle_.has_process && !options_.start_gate) {
    throw no_process();
  }
  planned_ = create_plan_options(id_, options_, bundle_.spec);
  if (planned_.reaper) {
    make_room_for_reaper(bundle_.spec.linux_.resources);
  }
  check_console(*bundle_.spec.process, options_.stdio, options_.allow_terminal_without_socket);
  check_rootfs(rootfs_path(bundle_));
  if (!options_.stdio.console_socket.empty()) {
    console_socket_ = connect_fd_socket(options_.stdio.console_socket, "--console-socket");
  }
  pidfd_socket_ = connect_pidfd_socket(options_.stdio.pidfd_socket, bundle_.spec);
  agent_.emplace(bundle_.spec);
  cgroups_ = find_cgroup_host();
  host_ = find_host(bundle_.path, cgroups_);
  complete_host(host_, bundle_.spec, *bundle_.spec.process);
  if (!bundle_.spec.linux_.mount_label.empty() && !host_.has_selinux) {
    warn(runtime_,
         "config.json: linux.mountLabel: mounts get no label, since SELinux is not enabled "
         "in this kernel");
  }
  resctrl_ = required_resctrl(bundle_.spec);
  tolerate_ = tolerates_permission_errors(runtime_, host_);
  if (runtime_.systemd_cgroup) {
    unit_.emplace(runtime_, bundle_.spec, id_, cgroups_);
  }
  cgroup_path_ = unit_ ? unit_->cgroup_path() : cgroup_path_for(bundle_.spec, id_, cgroups_);
}

void Creation::make_resources() {
  dir_ = StateDir::create(runtime_.root, id_);
  rollback_.emplace(dir_, record_, bundle_.spec, runtime_, unit_ ? &*unit_ : nullptr);
  if (options_.own_ids && wants_own_ids(bundle_.spec)) {
    first_own_id_ = rollback_->take_ids();
    give_own_ids(bundle_, first_own_id_);
  }
  if (options_.notify) {
    add_notify_mount(bundle_, dir_.make_notify_directory());
  }
  host_.seccomp = options_.prepared ? options_.prepared->filter(bundle_.spec, runtime_)
                                    : container_filter(bundle_.spec.linux_.seccomp, runtime_);
  make_cgroup();
  if (!resctrl_.empty()) {
    rdt_ = make_rdt_group(resctrl_, bundle_.spec, id_, dir_);
  }
}

void Creation::make_cgroup() {
  Cgroup& cgroup = rollback_->cgroup();
  // Noted before the cgroup is made, so that the cleanup after a killed create() knows of it.
  dir_.journal().note_origin(options_.ends_with_caller ? this_caller() : "", cgroup_path_);
  if (!unit_) {
    // A container with a linux.cgroupsPath is refused if that cgroup cannot be made.
    cgroup = Cgroup::create(cgroups_, cgroup_path_, bundle_.spec.linux_.resources,
                            tolerate_ && bundle_.spec.linux_.cgroups_path.empty());
  }
  if (unit_ || cgroup) {
    host_.cgroup_dir = cgroups_.mount_point.empty() ? "" : cgroups_.mount_point + cgroup_path_;
  } else {
    dir_.journal().forget_cgroup();
  }
  host_.enters_cgroup = unit_.has_value();
}

void Creation::spawn_init() {
  plan_ = options_.prepared ? options_.prepared->plan(bundle_.spec, host_, planned_, first_own_id_)
                            : make_plan(bundle_.spec, host_, planned_);
  log_plan(runtime_, *plan_, host_.cgroup_dir);
  if (planned_.start_gate) {
    dir_.start_gate().make();
  }
  const Cgroup& cgroup = rollback_->cgroup();
  SpawnOptions options;
  std::copy(std::begin(options_.stdio.fds), std::end(options_.stdio.fds), options.stdio);
  options.preserved = options_.stdio.preserved;
  options.cgroup = cgroup.fd();
  passed_ = open_passed(*plan_, &dir_, {}, owned_);
  options.passed = passed_;
  options.namespace_owner = first_own_id_;
  mounts_on_host_ = mounts_on_host(bundle_.spec);
  if (mounts_on_host_) {
    note_root(dir_, rootfs_path(bundle_));
  }
  init_ = &rollback_->process(spawn_in(cgroup, *plan_, options));
  if (options_.cancellation) {
    options_.cancellation->await_init(init_->pidfd());
  }
  log_child(runtime_, *init_);
}

void Creation::set_up_init() {
  const Spec& spec = bundle_.spec;
  Cgroup& cgroup = rollback_->cgroup();
  record_ = make_record(bundle_, id_, host_.euid, options_.no_new_keyring);
  record_.pid = init_->pid();
  record_.has_reaper = plan_->has_reaper();
  record_.first_own_id = first_own_id_;
  record_.mounts_on_host = mounts_on_host_;
  record_.has_rdt = static_cast<bool>(rdt_);
  if (rdt_) {
    rdt_.add(init_->pid());
  }
  give_net_devices(spec, *init_);
  grant_host_rights(*init_, *plan_, spec, *spec.process, source_, host_);
  if (unit_) {
    // Wait for init first: if it fails before this op, its own error is reported instead of
    // systemd's failure to find the process.
    init_->await(wire::WaitTag::cgroup);
    cgroup = unit_->start(init_->pid());
    unit_->note(record_);
    unit_->apply(cgroup);
    enter_below(cgroup, spec.linux_.systemd_subgroup, *init_, spec, host_);
    init_->answer(wire::WaitTag::cgroup);
  }
  record_.cgroup_path = cgroup.path();
  answer_mount_requests(*init_, *plan_, passed_);
  owned_.clear();
  if (cgroup || !tolerate_) {
    if (!unit_) {
      cgroup.apply(spec.linux_.resources);
    }
    cgroup.attach_device_filter(spec.linux_.resources.devices, tolerate_);
    delegate_cgroup(cgroup, spec, host_);
    limit_nesting(cgroup, spec);
  }
  reset_affinity(init_->pid());
  record_.start_time = start_time_of(init_->pid());
}

void Creation::run_hooks() {
  init_->await(wire::WaitTag::hooks);
  rollback_->hooks_run();
  // Hooks may ask for the state.
  record_.creating = true;
  dir_.write(record_);
  run_create_hooks(bundle_.spec, record_, host_, *init_, rollback_->cgroup().fd(), dir_,
                   options_.cancellation.get());
  record_.creating = record_.has_hooks;
  init_->answer(wire::WaitTag::hooks);
}

void Creation::let_init_go() {
  const Spec& spec = bundle_.spec;
  dir_.write_config(bundle_.config);
  // exec waits for the container's lock before it joins namespaces that init still sets up. With
  // hooks it does not, as a hook may call exec while start() holds the lock; then the record's
  // `creating` makes exec fail until create() is done.
  record_.creating = record_.has_hooks;
  if (has_wait(*plan_, wire::WaitTag::hooks)) {
    run_hooks();
  }
  dir_.write(record_);
  set_scheduling(*init_, *plan_, *spec.process, source_, !spec.linux_.resources.cpu.cpus.empty());
  const bool at_go = prepare_console(*init_, *spec.process, options_.prepare_console);
  const bool delegates = !spec.linux_.delegate_cgroup.empty();
  if (!at_go && (mounts_on_host_ || delegates)) {
    init_->await(wire::WaitTag::go);
  }
  if (mounts_on_host_) {
    note_root_mount(dir_);
  }
  if (delegates) {
    // By now init has made its cgroup namespace.
    enter_below(rollback_->cgroup(), cgroup_below(spec, unit_.has_value()), *init_, spec, host_);
  }
  init_->answer(wire::WaitTag::go);
  agent_->serve(*init_, spec_state(record_, Status::creating, init_->pid()));
  finish(runtime_, *init_,
         planned_.start_gate ? "init: about to wait at the start gate" : "init: about to exec");
  if (record_.creating) {
    record_.creating = false;
    dir_.write(record_);
  }
}

StartedProcess Creation::hand_over() {
  StartedProcess process = deliver(*init_, console_socket_.get(), pidfd_socket_.get());
  write_pid_file(options_.pid_file, process.pid);
  const auto warn_of = [this](const std::vector<std::string>& warnings) {
    for (const std::string& warning : warnings) {
      warn(runtime_, warning);
    }
  };
  warn_of(bundle_.spec.warnings);
  if (unit_) {
    warn_of(unit_->warnings());
  }
  process.ending = init_->take_ending();
  process.pidfd = init_->release();
  rollback_->keep();
  return process;
}

}  // namespace tare

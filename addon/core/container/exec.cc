// exec: starts a further process in a container.
#include <algorithm>
#include <utility>

#include "container/exec_target.h"
#include "container/impl.h"
#include "container/pending_exec.h"
#include "tare/error.h"
#include "tare/unix_socket.h"
#include "tare/validate.h"

namespace tare {
namespace {

bool is_left_open(const std::string& text) { return text.empty(); }
bool is_left_open(const std::vector<Rlimit>& limits) { return limits.empty(); }
bool is_left_open(const CpuAffinity& affinity) {
  return affinity.initial.empty() && affinity.final_.empty();
}
template <typename T>
bool is_left_open(const std::optional<T>& value) {
  return !value.has_value();
}

/// Takes fields that the process object leaves unset from the container's own process. Messages
/// about them then name the container's config.json.
void inherit_defaults(Process& process, const Process& own, ProcessSource& source) {
  const ProcessSource config;
  const auto inherit = [&](auto& value, const auto& own_value, const char* field) {
    if (is_left_open(value) && !is_left_open(own_value)) {
      value = own_value;
      source.elsewhere.emplace_back(field, config.path(field));
    }
  };
  inherit(process.capabilities, own.capabilities, "capabilities");
  inherit(process.apparmor_profile, own.apparmor_profile, "apparmorProfile");
  inherit(process.selinux_label, own.selinux_label, "selinuxLabel");
  inherit(process.rlimits, own.rlimits, "rlimits");
  inherit(process.user.umask, own.user.umask, "user.umask");
  inherit(process.scheduler, own.scheduler, "scheduler");
  inherit(process.io_priority, own.io_priority, "ioPriority");
  inherit(process.exec_cpu_affinity, own.exec_cpu_affinity, "execCPUAffinity");
}

/// Spawns a process with the CPU affinity of the config. By default it may run on all processors of
/// the container, not only those of the caller; if `forks`, an op of the plan does that.
template <typename Spawn>
InitProcess spawn_on_processors(const CpuAffinity& affinity, bool forks,
                                const ProcessSource& source, const Runtime& runtime,
                                const Spawn& spawn) {
  if (!is_left_open(affinity)) {
    const ThreadAffinity bound(affinity.initial, source.path("execCPUAffinity.initial"));
    InitProcess init = spawn();
    log_affinity(runtime, init);
    return init;
  }
  InitProcess init = spawn();
  if (!forks) {
    reset_affinity(init.pid());
  }
  return init;
}

}  // namespace

void Container::Impl::await_creation() {
  refresh();
  if (record.creating) {
    throw status() == Status::stopped
        ? stopped_error()
        : Error(ErrorKind::bad_status, "cannot exec in a container that is being created");
  }
  if (!record.has_hooks) {
    const Locked locked(dir, runtime);
  }
}

StartedProcess Container::exec(const ExecOptions& options) {
  PendingExec pending = begin_exec(options, true);
  pending.advance(std::chrono::steady_clock::time_point::max());
  return pending.take();
}

PendingExec Container::begin_exec(const ExecOptions& options) { return begin_exec(options, false); }

PendingExec Container::begin_exec(const ExecOptions& options, bool may_block) {
  const ErrorContext context("exec in", id());
  impl_->await_creation();
  try {
    return begin_exec_now(options, may_block);
  } catch (const Error& error) {
    rethrow_exec_failure(error, impl_->record);
  }
}

Host PendingExec::Impl::find_host_facts(const Spec& config) const {
  Host host = find_host(record.bundle, target.cgroups);
  check_labels(host, process, source, "");
  const auto is_joined = [&config](NamespaceType type) {
    return config.has_namespace(type) && !config.makes_namespace(type);
  };
  if (config.has_namespace(NamespaceType::user) &&
      (config.has_namespace(NamespaceType::time) || is_joined(NamespaceType::cgroup) ||
       is_joined(NamespaceType::pid))) {
    host.inner_namespaces = inner_namespaces_of(
        record.pid, {NamespaceType::time, NamespaceType::cgroup, NamespaceType::pid});
  }
  host.seccomp = container_filter(config.linux_.seccomp, runtime);
  return host;
}

ExecPlanOptions PendingExec::Impl::plan_options(const ExecOptions& given, const Spec& config,
                                                bool may_block) const {
  ExecPlanOptions options;
  options.paused = target.paused;
  // Only the user's systemd may move a process into a cgroup of its units. spawn_in_cgroup() asks
  // it to if clone3(2) may not create the process there (EACCES).
  options.enters_cgroup = target.paused || (!may_block && target.cgroup && !record.systemd_user &&
                                            may_write_cgroups(config));
  options.id = record.id;
  options.no_new_keyring = given.no_new_keyring || record.no_new_keyring;
  options.preserve_fds = static_cast<std::uint32_t>(given.stdio.preserved.size());
  options.extra_env = given.extra_env;
  options.source = source;
  // Without pass_root, init uses the root of the mount namespace. That is the container's root,
  // even if the container's init has called chroot(2) since.
  options.pass_root =
      target.root && (!config.makes_namespace(NamespaceType::mount) || may_be_in_chroot());
  options.host_acts = record.systemd_user;
  return options;
}

void PendingExec::Impl::connect_sockets(const Stdio& stdio) {
  if (!stdio.console_socket.empty()) {
    console_socket = connect_fd_socket(stdio.console_socket, "--console-socket");
  }
  if (!stdio.pidfd_socket.empty()) {
    pidfd_socket = connect_fd_socket(stdio.pidfd_socket, "--pidfd-socket");
  }
}

InitProcess& PendingExec::Impl::spawn_init(const Stdio& stdio) {
  std::vector<Fd> owned;
  SpawnOptions options;
  std::copy(std::begin(stdio.fds), std::end(stdio.fds), options.stdio);
  options.preserved = stdio.preserved;
  options.cgroup = enters_cgroup ? -1 : target.cgroup.fd();
  options.passed =
      open_passed(*plan, nullptr, {record.pid, target.pidfd.get(), target.root.get()}, owned);
  init.emplace(spawn_on_processors(
      process.exec_cpu_affinity, plan->forks_into_pidns(), source, runtime,
      [&] { return spawn_in_cgroup(*plan, options, record, may_fall_back, target); }));
  log_child(runtime, *init);
  return *init;
}

PendingExec Container::begin_exec_now(const ExecOptions& given, bool may_block) {
  auto pending = std::make_unique<PendingExec::Impl>();
  pending->runtime = impl_->runtime;
  pending->record = impl_->record;
  pending->process = given.process;
  pending->source = given.source;
  pending->pid_file = given.pid_file;
  pending->prepare_console = given.prepare_console;
  Process& process = pending->process;
  ProcessSource& source = pending->source;
  ExecTarget& target = pending->target;
  target = open_exec_target(impl_->record, given.ignore_paused);
  const Spec& config = spec();
  inherit_defaults(process, config.process.value_or(Process()), source);
  validate_process(process, config, source);
  check_console(process, given.stdio, given.allow_terminal_without_socket);
  pending->connect_sockets(given.stdio);
  const Host host = pending->find_host_facts(config);
  pending->agent.emplace(config);
  if (target.paused && pending->agent->asked()) {
    throw Error(ErrorKind::unsupported,
                "a paused container's process cannot be announced to the seccomp agent; resume the "
                "container first");
  }
  const RdtGroup rdt = container_rdt_group(config, id());
  const ExecPlanOptions options = pending->plan_options(given, config, may_block);
  pending->enters_cgroup = options.enters_cgroup;
  pending->plan = make_exec_plan(process, config, host, options);
  const auto requested = requested_cgroup(given.sub_cgroup);
  pending->may_fall_back = !requested.has_value();
  choose_cgroup(target, impl_->record, requested,
                cgroup_below(config, !impl_->record.systemd_unit.empty()));
  log_plan(impl_->runtime, *pending->plan, target.cgroup.path());
  pending->has_cpuset = !config.linux_.resources.cpu.cpus.empty();
  InitProcess& init = pending->spawn_init(given.stdio);
  if (rdt) {
    rdt.add(init.pid());
  }
  grant_host_rights(init, *pending->plan, config, process, source, host);
  pending->add_steps();
  return PendingExec(std::move(pending));
}

}  // namespace tare

// exec: starts a further process in a container.
#include <fcntl.h>
#include <sched.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <deque>

#include "container/impl.h"
#include "container/systemd_unit.h"
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
      source.elsewhere.emplace_back(field, config.place(field));
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

Error stopped_error() { return Error(ErrorKind::bad_status, "cannot exec in a stopped container"); }

/// A container's init and its cgroup at the time of the exec.
struct Target {
  Fd root;
  Fd pidfd;
  CgroupHost cgroups;
  Cgroup cgroup;        ///< none if the container has none, or it was removed
  bool paused = false;  ///< frozen, and exec goes on all the same
};

/// Opens the container's init and cgroup. Throws `bad_status` if it has stopped, or is paused and
/// `ignore_paused` is not set.
Target open_target(const StateRecord& record, bool ignore_paused) {
  Target target;
  // The root is opened by pid. If that pid is still init's afterwards, it was init's then.
  target.root = open_root_of(record.pid);
  target.pidfd = open_process(record.pid, record.start_time);
  if (!target.pidfd) {
    throw stopped_error();
  }
  target.cgroups = find_cgroup_host();
  if (!record.cgroup_path.empty()) {
    target.cgroup = Cgroup::open(target.cgroups, record.cgroup_path);
  }
  target.paused = target.cgroup.frozen();
  if (target.paused && !ignore_paused) {
    throw Error(ErrorKind::bad_status,
                "cannot exec in a paused container (use --ignore-paused to override)");
  }
  return target;
}

/// Returns the sub-cgroup that `--cgroup` names: "[CONTROLLERS:]PATH", where v2 has no controllers.
/// "/" is the container's own.
std::optional<std::string> requested_cgroup(const std::vector<std::string>& given) {
  if (given.empty()) {
    return std::nullopt;
  }
  const std::string& value = given.back();
  if (given.size() > 1 || value.find(':') != std::string::npos) {
    throw Error(
        ErrorKind::invalid_argument,
        "--cgroup: " + value + ": cgroup v2 has one hierarchy; give one path without controllers");
  }
  std::string path = absolute_path("/" + value);
  if (("/" + value + "/").find("/../") != std::string::npos) {
    throw Error(ErrorKind::invalid_argument, "--cgroup: bad sub cgroup path: " + value +
                                                 " must not leave the container's cgroup");
  }
  return path == "/" ? std::string() : path;
}

/// Sets `target.cgroup` to the cgroup for the new process. `usual` is the cgroup of the container's
/// own processes, relative to the container's.
void choose_cgroup(Target& target, const StateRecord& record,
                   const std::optional<std::string>& requested, const std::string& usual) {
  if (record.cgroup_path.empty()) {
    if (requested.has_value() && !requested->empty()) {
      throw Error(ErrorKind::unsupported, "--cgroup: the container has no cgroup");
    }
    return;
  }
  const std::string below = usual.empty() ? "" : "/" + usual;
  const std::string path = record.cgroup_path + requested.value_or(below);
  if (path != record.cgroup_path) {
    target.cgroup = Cgroup::open(target.cgroups, path);
  }
  if (!target.cgroup && !requested.has_value()) {
    // The container's processes were moved elsewhere. Use init's current cgroup: the caller's own
    // would be wrong in any case.
    target.cgroup = Cgroup::open(target.cgroups, cgroup_of(record.pid));
  }
  if (!target.cgroup && requested.has_value()) {
    throw Error(ErrorKind::invalid_argument,
                "--cgroup: " + *requested +
                    ": the container has no such cgroup: no such file or directory; make it first")
        .with_path(path);
  }
}

/// Moves init into the container's cgroup after it was set up outside. Born in the cgroup of a
/// paused container, or one that the container freezes meanwhile, it would stop before its first
/// instruction, and with it the thread that clones it.
void enter_cgroup(InitProcess& init, const StateRecord& record, bool may_fall_back,
                  Target& target) {
  int error = target.cgroup.add(init.pid());
  if (error == EBUSY && may_fall_back) {
    target.cgroup = Cgroup::open(target.cgroups, cgroup_of(record.pid));
    error = target.cgroup.add(init.pid());
  }
  if (error != 0) {
    throw_errno(error, "write", "cgroup.procs of the container");
  }
}

/// Spawns the process in its cgroup. A cgroup that enables controllers for its children takes no
/// processes (EBUSY): the process then goes to init's cgroup. A process from a login session may
/// not enter a cgroup of a user's systemd manager (EACCES): systemd then moves it.
InitProcess spawn_in_cgroup(const Plan& plan, SpawnOptions& options, const StateRecord& record,
                            bool may_fall_back, Target& target) {
  try {
    return spawn(plan, options);
  } catch (const Error& error) {
    if (error.errnum() == EACCES && record.systemd_user) {
      options.cgroup = -1;
      InitProcess init = spawn(plan, options);
      attach_to_unit(record, init.pid());
      return init;
    }
    if (error.errnum() == EBUSY && !may_fall_back) {
      throw Error(ErrorKind::system,
                  "--cgroup: adding pid of the new process to cgroups: " + errno_text(EBUSY) +
                      "; this one hands controllers to children and takes no processes: name one "
                      "of those")
          .with_errno(EBUSY, "clone3");
    }
    if (error.errnum() != EBUSY) {
      throw;
    }
  }
  target.cgroup = Cgroup::open(target.cgroups, cgroup_of(record.pid));
  options.cgroup = target.cgroup.fd();
  return spawn(plan, options);
}

/// Spawns a process with the CPU affinity of the config. By default it may run on all processors of
/// the container, not only those of the caller; if `appears`, an op of the plan sees to that.
template <typename Spawn>
InitProcess spawn_on_processors(const CpuAffinity& affinity, bool appears,
                                const ProcessSource& source, const Runtime& runtime,
                                const Spawn& spawn) {
  if (!is_left_open(affinity)) {
    const ThreadAffinity bound(affinity.initial, source.place("execCPUAffinity.initial"));
    InitProcess init = spawn();
    tell_affinity(runtime, init);
    return init;
  }
  InitProcess init = spawn();
  if (!appears) {
    reset_affinity(init.pid());
  }
  return init;
}

}  // namespace

bool may_be_in_chroot() {
  struct stat own{};
  struct stat first{};
  return stat("/", &own) < 0 || stat("/proc/1/root/", &first) < 0 || own.st_dev != first.st_dev ||
         own.st_ino != first.st_ino;
}

std::string cgroup_of(pid_t pid) {
  const auto text = read_file_if_exists(AT_FDCWD, "/proc/" + std::to_string(pid) + "/cgroup");
  const std::size_t at = text.has_value() ? text->find("0::") : std::string::npos;
  if (at == std::string::npos) {
    return {};
  }
  return text->substr(at + 3, text->find('\n', at) - at - 3);
}

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

namespace {

/// Rethrows `failure`, the exception being handled, or throws that the container has stopped: the
/// kernel reports that in many ways (ESRCH, ENOMEM, a signal).
[[noreturn]] void rethrow(const Error& failure, const StateRecord& record) {
  if (failure.kind() != ErrorKind::system || open_process(record.pid, record.start_time)) {
    throw;
  }
  throw stopped_error();
}

}  // namespace

/// The steps left after the process has been cloned. Each step begins with its wait, so that a step
/// that timed out can be repeated from its beginning.
struct PendingExec::Impl {
  Runtime runtime;
  StateRecord record;
  Process process;
  ProcessSource source;
  bool has_cpuset = false;
  bool may_fall_back = false;  ///< to the cgroup of the container's init, on EBUSY
  bool enters_cgroup = false;  ///< moved into the cgroup instead of born in it
  Target target;
  Fd console_socket;
  Fd pidfd_socket;
  std::string pid_file;
  std::function<void(int master)> prepare_console;
  std::optional<SeccompAgent> agent;
  std::optional<Plan> plan;  ///< before init, which refers to it
  std::optional<InitProcess> init;
  std::deque<std::function<void()>> steps;

  void add_steps();
};

void PendingExec::Impl::add_steps() {
  const auto schedule = [this] { set_scheduling(*init, *plan, process, source, has_cpuset); };
  const bool scheduled_last = waits_before(*plan, wire::WaitTag::go, wire::WaitTag::scheduling);
  if (!scheduled_last) {
    steps.emplace_back(schedule);
  }
  steps.emplace_back([this] {
    tare::prepare_console(*init, process, prepare_console);
    if (has_wait(*plan, wire::WaitTag::go)) {
      init->answer(wire::WaitTag::go);
    }
  });
  const auto enter = [this] {
    init->await(wire::WaitTag::cgroup);
    enter_cgroup(*init, record, may_fall_back, target);
    init->answer(wire::WaitTag::cgroup);
  };
  if (enters_cgroup && !target.paused) {
    steps.emplace_back(enter);
  }
  if (scheduled_last) {
    steps.emplace_back(schedule);
  }
  if (target.paused) {
    steps.emplace_back(enter);
    return;
  }
  steps.emplace_back(
      [this] { agent->serve(*init, told_state(record, Status::running, record.pid)); });
  steps.emplace_back(
      [this] { finish(runtime, *init, "setns_init: about to exec ", process.args.front()); });
}

PendingExec::PendingExec(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
PendingExec::PendingExec(PendingExec&&) noexcept = default;
PendingExec::~PendingExec() = default;

int PendingExec::fd() const noexcept { return impl_->init->channel(); }

bool PendingExec::advance(std::chrono::steady_clock::time_point deadline) {
  const Doing doing("exec in", impl_->record.id);
  impl_->init->limit(deadline);
  try {
    for (; !impl_->steps.empty(); impl_->steps.pop_front()) {
      impl_->steps.front()();
    }
    return true;
  } catch (const InitTimeout&) {
    return false;
  } catch (const Error& error) {
    rethrow(error, impl_->record);
  }
}

StartedProcess PendingExec::take() {
  const Doing doing("exec in", impl_->record.id);
  StartedProcess started =
      deliver(*impl_->init, impl_->console_socket.get(), impl_->pidfd_socket.get());
  write_pid_file(impl_->pid_file, started.pid);
  started.pidfd = impl_->init->release();
  return started;
}

StartedProcess Container::exec(const ExecOptions& options) {
  PendingExec pending = begin_exec(options, true);
  pending.advance(std::chrono::steady_clock::time_point::max());
  return pending.take();
}

PendingExec Container::begin_exec(const ExecOptions& options) { return begin_exec(options, false); }

PendingExec Container::begin_exec(const ExecOptions& options, bool may_block) {
  const Doing doing("exec in", id());
  impl_->await_creation();
  try {
    return begin_exec_now(options, may_block);
  } catch (const Error& error) {
    rethrow(error, impl_->record);
  }
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
  Target& target = pending->target;
  target = open_target(impl_->record, given.ignore_paused);
  const Spec& config = spec();
  inherit_defaults(process, config.process.value_or(Process()), source);
  validate_process(process, config, source);
  check_console(process, given.stdio, given.allow_terminal_without_socket);
  if (!given.stdio.console_socket.empty()) {
    pending->console_socket = connect_fd_socket(given.stdio.console_socket, "--console-socket");
  }
  if (!given.stdio.pidfd_socket.empty()) {
    pending->pidfd_socket = connect_fd_socket(given.stdio.pidfd_socket, "--pidfd-socket");
  }

  Host host = find_host(impl_->record.bundle, target.cgroups);
  check_labels(host, process, source, "");
  const auto is_joined = [&config](NamespaceType type) {
    return config.has_namespace(type) && !config.makes_namespace(type);
  };
  if (config.has_namespace(NamespaceType::user) &&
      (config.has_namespace(NamespaceType::time) || is_joined(NamespaceType::cgroup) ||
       is_joined(NamespaceType::pid))) {
    host.inner_namespaces = inner_namespaces_of(
        impl_->record.pid, {NamespaceType::time, NamespaceType::cgroup, NamespaceType::pid});
  }
  host.seccomp = container_filter(config, impl_->runtime);
  pending->agent.emplace(config);
  if (target.paused && pending->agent->asked()) {
    throw Error(ErrorKind::unsupported,
                "a paused container's process cannot be announced to the seccomp agent; resume the "
                "container first");
  }
  const RdtGroup rdt = container_rdt_group(config, id());
  ExecPlanOptions options;
  options.paused = target.paused;
  // Only the user's systemd may move a process into its cgroup, and spawn_in_cgroup() asks it to if
  // the process is born elsewhere.
  options.enters_cgroup =
      target.paused ||
      (!may_block && target.cgroup && !impl_->record.systemd_user && may_write_cgroups(config));
  options.id = id();
  options.no_new_keyring = given.no_new_keyring || impl_->record.no_new_keyring;
  options.preserve_fds = static_cast<std::uint32_t>(given.stdio.preserved.size());
  options.extra_env = given.extra_env;
  options.source = source;
  // Otherwise the mount namespace's root is the container's, wherever its init has gone by
  // chroot(2) since.
  options.pass_root =
      target.root && (!config.makes_namespace(NamespaceType::mount) || may_be_in_chroot());
  options.host_acts = impl_->record.systemd_user;
  pending->plan = make_exec_plan(process, config, host, options);
  const Plan& plan = *pending->plan;

  const auto requested = requested_cgroup(given.sub_cgroup);
  choose_cgroup(target, impl_->record, requested,
                cgroup_below(config, !impl_->record.systemd_unit.empty()));
  tell_plan(impl_->runtime, plan, target.cgroup.path());
  std::vector<Fd> owned;
  SpawnOptions spawn_options;
  std::copy(std::begin(given.stdio.fds), std::end(given.stdio.fds), spawn_options.stdio);
  spawn_options.preserved = given.stdio.preserved;
  spawn_options.cgroup = options.enters_cgroup ? -1 : target.cgroup.fd();
  spawn_options.passed =
      open_passed(plan, nullptr, {impl_->record.pid, target.pidfd.get(), target.root.get()}, owned);
  pending->has_cpuset = !config.linux_.resources.cpu.cpus.empty();
  pending->may_fall_back = !requested.has_value();
  pending->enters_cgroup = options.enters_cgroup;
  InitProcess& init = pending->init.emplace(
      spawn_on_processors(process.exec_cpu_affinity, plan.appears(), source, impl_->runtime, [&] {
        return spawn_in_cgroup(plan, spawn_options, impl_->record, pending->may_fall_back, target);
      }));
  tell_child(impl_->runtime, init);
  if (rdt) {
    rdt.add(init.pid());
  }
  grant_host_rights(init, plan, config, process, source, host);
  pending->add_steps();
  return PendingExec(std::move(pending));
}

}  // namespace tare

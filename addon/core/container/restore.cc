// restore: makes a new container from a checkpoint, by criu.
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>

#include "checkpoint/external_files.h"
#include "container/bundle.h"
#include "container/create_rollback.h"
#include "container/criu_session.h"
#include "container/hooks.h"
#include "container/impl.h"
#include "container/systemd_unit.h"
#include "host/net_devices.h"
#include "json/json.h"
#include "tare/error.h"
#include "tare/pidfd.h"
#include "tare/unix_socket.h"

namespace tare {
namespace {

/// Name of the mount of the root that is made for criu below the state directory, in criu's own
/// mount namespace.
constexpr const char* criu_root = "criu-root";

/// An init that criu has restored and that no Container owns yet. Killed and reaped when destroyed,
/// unless released.
class RestoredInit {
 public:
  RestoredInit() = default;
  ~RestoredInit() {
    if (pidfd_) {
      // The failure that led here is the one to report.
      try_signal(pidfd_.get(), SIGKILL);
      siginfo_t info{};
      wait_for_child(pidfd_.get(), 0, info);
    }
  }
  RestoredInit(const RestoredInit&) = delete;
  RestoredInit& operator=(const RestoredInit&) = delete;

  /// criu reports the pid more than once.
  void note(pid_t pid) {
    if (!pidfd_ && pid > 0) {
      pidfd_ = open_pidfd(pid);
      if (!pidfd_) {
        throw_errno("pidfd_open", "process " + std::to_string(pid));
      }
      pid_ = pid;
    }
  }
  pid_t pid() const noexcept { return pid_; }
  int pidfd() const noexcept { return pidfd_.get(); }
  Fd release() { return std::move(pidfd_); }

 private:
  pid_t pid_ = 0;
  Fd pidfd_;
};

/// Replaces pipes and files of the host that were the saved container's standard streams by this
/// process's, and the host's /dev/null by the current one, which the returned descriptor keeps
/// open.
Fd inherit_descriptors(const std::string& images, CriuRequest& request, CriuStart& start) {
  const std::string path = images + "/" + descriptors_file;
  const auto text = read_file_if_exists(AT_FDCWD, path);
  if (!text.has_value()) {
    throw Error(ErrorKind::invalid_argument,
                "--image-path: " + images + ": there is no " + descriptors_file +
                    " in it: give the directory of a whole checkpoint; that of a --pre-dump alone "
                    "cannot be restored")
        .with_path(path);
  }
  Fd null = open_file(AT_FDCWD, "/dev/null", O_RDWR);
  const auto hand_over = [&](int fd) {
    start.inherited.push_back(fd < 0 ? null.get() : fd);
    return criu_first_inherited + static_cast<int>(start.inherited.size()) - 1;
  };
  const int null_fd = hand_over(-1);
  const json::Document document(*text, path);
  std::size_t fd = 0;
  document.root().for_each_element([&](const json::Value& value) {
    const std::string key(value.as_string());
    const bool known =
        std::ranges::any_of(request.inherited, [&](const auto& one) { return one.first == key; });
    if (!known && (key.starts_with("pipe:") || is_external_key(key))) {
      // criu closes the descriptors that it is given, and uses 0 to 2 itself (--shell-job).
      request.inherited.emplace_back(
          key, fd < std::size(start.stdio) ? hand_over(start.stdio[fd]) : null_fd);
    }
    ++fd;
  });
  return null;
}

/// Passes the namespaces that the container joins to criu, as an open file or by path, as criu
/// requires for each type. Returns the open files.
std::vector<Fd> hand_over_namespaces(CriuRequest& request, CriuStart& start, const Spec& spec) {
  std::vector<Fd> opened;
  for (const Namespace& one : spec.linux_.namespaces) {
    if (one.path.empty()) {
      continue;
    }
    if (one.type != NamespaceType::network && one.type != NamespaceType::pid) {
      request.joined.emplace_back(namespace_proc_name(one.type), one.path);
      continue;
    }
    Fd file(::open(one.path.c_str(), O_RDONLY | O_CLOEXEC));
    if (!file) {
      const std::string place = spec.namespace_place(one) + ".path";
      const int error = errno;
      throw Error(ErrorKind::invalid_config,
                  "config.json: " + place + ": " + one.path + ": open: " + errno_text(error) +
                      "; the namespace that the container is to join must be there")
          .with_errno(error, "open")
          .with_path(place);
    }
    request.inherited.emplace_back(external_namespace_key(one.type),
                                   criu_first_inherited + static_cast<int>(start.inherited.size()));
    start.inherited.push_back(file.get());
    opened.push_back(std::move(file));
  }
  return opened;
}

/// Makes the container's mount points as create() does: an init executes its whole plan, up to the
/// program, in namespaces that end with it. Returns the external mounts; criu finds their mount
/// points where this init's mounts are.
std::vector<ExternalMount> make_mount_points(const Bundle& bundle, Host host, int cgroup,
                                             bool no_pivot) {
  Spec spec = bundle.spec;
  spec.hooks = {};
  // Joined namespaces stay as they are; network devices were moved there when the container was
  // created.
  spec.linux_.net_devices.clear();
  spec.linux_.sysctl.clear();
  spec.linux_.seccomp.reset();
  host.seccomp = {};
  Process& process = *spec.process;
  process.args.clear();
  process.rlimits.clear();
  process.oom_score_adj.reset();
  process.scheduler.reset();
  process.io_priority.reset();
  PlanOptions options;
  options.no_new_keyring = true;
  options.no_pivot = no_pivot;
  const Plan plan = make_plan(spec, host, options);
  std::vector<Fd> owned;
  SpawnOptions spawn_options;
  std::fill(std::begin(spawn_options.stdio), std::end(spawn_options.stdio), -1);
  spawn_options.cgroup = cgroup;
  spawn_options.passed = open_passed(plan, nullptr, {}, owned);
  InitProcess init = spawn(plan, spawn_options);
  grant_host_rights(init, plan, spec, process, {}, host);
  serve_fetches(init, plan, spawn_options.passed);
  init.await(wire::WaitTag::go);
  return external_mounts(init.pid(), spec, bundle.path);
}

/// Makes mounts read-only that criu mounts as they are on the host: the root, and bind mounts over
/// a part of another mount of the host's.
void make_read_only(const RestoredInit& container, const std::vector<std::string>& places) {
  if (places.empty()) {
    return;
  }
  const Plan plan = make_read_only_plan(places);
  std::vector<Fd> owned;
  SpawnOptions options;
  std::fill(std::begin(options.stdio), std::end(options.stdio), -1);
  options.passed = open_passed(plan, nullptr, {container.pid(), container.pidfd(), -1}, owned);
  InitProcess init = spawn(plan, options);
  init.await(wire::WaitTag::go);
}

/// Whether process `pid` is in another time namespace than this process.
bool is_in_time_namespace(pid_t pid) {
  struct stat own{};
  struct stat its{};
  return stat("/proc/self/ns/time", &own) == 0 &&
         stat(("/proc/" + std::to_string(pid) + "/ns/time").c_str(), &its) == 0 &&
         own.st_ino != its.st_ino;
}

/// Whether no_new_privs was lost: criu before 3.19 neither saves nor sets it, and no other process
/// can set it.
bool has_lost_no_new_privileges(const Process& process, pid_t pid) {
  const auto status = read_file_if_exists(AT_FDCWD, "/proc/" + std::to_string(pid) + "/status");
  return process.no_new_privileges && status.has_value() &&
         status->find("\nNoNewPrivs:\t0") != std::string::npos;
}

/// Sets up the loopback device, which is up in every container: criu makes an empty network
/// namespace.
void prepare_network(const Spec& spec, pid_t pid) {
  if (spec.makes_namespace(NamespaceType::network)) {
    const Fd network = open_file(AT_FDCWD, "/proc/" + std::to_string(pid) + "/ns/net", O_RDONLY);
    set_up_loopback(open_netlink_socket_in(network.get()));
  }
}

}  // namespace

Container Container::restore(const Runtime& given, const std::string& id,
                             const CreateOptions& options, const RestoreOptions& from) {
  const Doing doing("restore", id);
  validate_id(id);
  refuse_without_privilege();

  // Every refusal comes before the first side effect.
  auto impl = std::make_unique<Impl>();
  impl->runtime = resolve_runtime(given);
  const Runtime& runtime = impl->runtime;
  const Bundle bundle = read_bundle(options);
  const Spec& spec = bundle.spec;
  check_console(*spec.process, options.stdio, options.allow_terminal_without_socket);
  check_rootfs(rootfs_path(bundle));
  refuse_unrestorable(spec, runtime.systemd_cgroup);
  const CgroupHost cgroups = find_cgroup_host();
  Host host = find_host(bundle.path, cgroups);
  complete_host(host, spec, *spec.process);
  const Fd console_socket =
      options.stdio.console_socket.empty()
          ? Fd()
          : connect_fd_socket(options.stdio.console_socket, "--console-socket");
  const Fd pidfd_socket = connect_pidfd_socket(options.stdio.pidfd_socket, spec);
  CriuRequest request;
  request.verb = CriuVerb::restore;
  request.options = from.criu;
  request.restore = from;
  request.log_file = "restore.log";
  request.config_file = criu_config_file(spec);
  CriuStart start;
  std::copy(std::begin(options.stdio.fds), std::end(options.stdio.fds), start.stdio);
  const std::vector<Fd> namespaces = hand_over_namespaces(request, start, spec);
  const std::string resctrl = required_resctrl(spec);
  std::optional<ContainerUnit> unit;
  if (runtime.systemd_cgroup) {
    unit.emplace(runtime, spec, id, cgroups);
  }
  const std::string cgroup_path = unit ? unit->cgroup_path() : cgroup_path_for(spec, id, cgroups);
  const Fd null = inherit_descriptors(image_path(from.criu), request, start);
  if (from.criu.manage_cgroups == CgroupsMode::strict) {
    if (!unit && Cgroup::open(cgroups, cgroup_path)) {
      throw Error(ErrorKind::already_exists,
                  "--manage-cgroups-mode strict: the cgroup " + cgroup_path + " is there already")
          .with_path(cgroup_path);
    }
    // The container's cgroup is new and has none below it to check, and criu would refuse the
    // container's cgroup itself, as tare has made it by then.
    request.options.manage_cgroups = CgroupsMode::soft;
  }
  check_criu({.lazy_pages = from.criu.lazy_pages});
  const CriuDirectories directories =
      open_criu_directories(from.criu, request.log_file.c_str(), false);

  impl->dir = StateDir::create(runtime.root, id);
  HalfMade half_made(impl->dir, impl->record, spec, runtime, unit ? &*unit : nullptr);
  Cgroup& cgroup = half_made.cgroup();
  impl->dir.note_origin("", cgroup_path);
  if (!unit) {
    cgroup = Cgroup::create(cgroups, cgroup_path, spec.linux_.resources, false);
  }
  if (unit || cgroup) {
    host.cgroup_dir = cgroups.mount_point.empty() ? "" : cgroups.mount_point + cgroup_path;
  } else {
    impl->dir.forget_cgroup();
  }
  RdtGroup rdt;
  if (!resctrl.empty()) {
    rdt = RdtGroup::create(resctrl, *spec.linux_.intel_rdt, id,
                           {[&](const std::string& directory) { impl->dir.note_rdt(directory); },
                            [&] { impl->dir.forget_rdt(); }});
  }
  std::vector<std::string> read_only;
  if (spec.root.readonly) {
    read_only.emplace_back("/");
  }
  for (const ExternalMount& mount :
       make_mount_points(bundle, host, cgroup.fd(), options.no_pivot)) {
    request.external.push_back("mnt[" + mount.place + "]:" + mount.source);
    if (mount.read_only) {
      read_only.push_back(mount.place);
    }
  }

  // All restored processes are born in this cgroup.
  start.cgroup = cgroup.fd();
  start.root = rootfs_path(bundle);
  start.place = impl->dir.path();
  start.name = criu_root;
  request.root = start.place + "/" + start.name;
  RestoredInit init;
  Criu criu(start);
  const CriuDirectories seen = seen_by(criu.pid(), from.criu, request.log_file.c_str());
  request.images = seen.images.get();
  request.work = seen.work.get();
  impl->record = make_record(bundle, id, host.euid, true);
  impl->record.has_rdt = static_cast<bool>(rdt);
  if (rdt) {
    rdt.add(criu.pid());
  }
  if (unit) {
    cgroup = unit->start(criu.pid());
    unit->note(impl->record);
  }
  impl->record.cgroup_path = cgroup.path();
  request.cgroup_root = cgroup ? cgroup_of(criu.pid()) : "";
  impl->dir.write_config(bundle.config);

  StartedProcess process;
  Awaited awaited(impl->dir);
  awaited.started(criu.pid());
  criu.carry_out(request, directories.log, [&](CriuNotice& notice) {
    if (notice.script == "setup-namespaces") {
      init.note(notice.pid);
      prepare_network(spec, init.pid());
      impl->record.pid = init.pid();
      impl->record.start_time = start_time_of(init.pid());
      if (!spec.hooks.prestart.empty() || !spec.hooks.create_runtime.empty()) {
        half_made.hooks_run();
        impl->record.creating = true;
        impl->dir.write(impl->record);
        const std::string state = hook_state(impl->record, Status::creating, init.pid());
        run_host_hooks("prestart", spec.hooks.prestart, state, bundle.path, awaited.note());
        run_host_hooks("createRuntime", spec.hooks.create_runtime, state, bundle.path,
                       awaited.note());
        awaited.started(criu.pid());
        impl->record.creating = false;
      }
    } else if (notice.script == "orphan-pts-master") {
      process.console = std::move(notice.fd);
      if (options.prepare_console) {
        options.prepare_console(process.console.get());
      }
      if (console_socket) {
        send_fd(console_socket.get(), process.console.get(), "/dev/ptmx");
        process.console.reset();
      }
    } else if (notice.script == "post-restore") {
      // All processes are restored, and none of them has resumed yet.
      init.note(notice.pid);
      impl->record.pid = init.pid();
      impl->record.start_time = start_time_of(init.pid());
      impl->record.in_time_namespace = is_in_time_namespace(init.pid());
      if (unit) {
        unit->apply(cgroup);
      } else if (cgroup) {
        cgroup.apply(spec.linux_.resources);
      }
      if (cgroup) {
        cgroup.attach_device_filter(spec.linux_.resources.devices, false);
        delegate_cgroup(cgroup, spec, host);
        limit_nesting(cgroup, spec);
      }
      reset_affinity(init.pid());
      make_read_only(init, read_only);
      impl->dir.write(impl->record);
    }
  });
  // criu restores credentials last.
  if (has_lost_no_new_privileges(*spec.process, init.pid())) {
    impl->warn(
        "config.json: process.noNewPrivileges: does not hold for the restored processes: criu "
        "before 3.19 does not save it; save and restore with a newer one");
  }
  if (pidfd_socket) {
    send_fd(pidfd_socket.get(), init.pidfd(), "pidfd");
  }
  write_pid_file(options.pid_file, init.pid());
  for (const std::string& warning : spec.warnings) {
    impl->warn(warning);
  }
  process.pid = init.pid();
  process.pidfd = init.release();
  impl->init = std::move(process);
  impl->created_cgroup = std::move(cgroup);
  half_made.keep();
  impl->dir.unlock();
  return Container(std::move(impl));
}

}  // namespace tare

#include "container/restoration.h"

#include <fcntl.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "checkpoint/external_files.h"
#include "container/hooks.h"
#include "container/new_container.h"
#include "json/json.h"
#include "tare/error.h"
#include "tare/unix_socket.h"

namespace tare {
namespace {

/// Name of the mount of the root that is made for criu below the state directory, in criu's own
/// mount namespace.
constexpr const char* criu_root = "criu-root";

/// Replaces pipes and files of the host that were the saved container's standard streams by this
/// process's, and the host's /dev/null by the current one, which the returned descriptor keeps
/// open.
Fd inherit_descriptors(const std::string& images, CriuRequest& request, CriuStart& start) {
  const std::string path = images + "/" + descriptors_file;
  const auto text = read_file_if_exists(AT_FDCWD, path);
  if (!text.has_value()) {
    throw Error(
        ErrorKind::invalid_argument,
        "--image-path: " + images + ": " + descriptors_file +
            " is missing; give the directory of a complete checkpoint, since a --pre-dump alone "
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
      const std::string path = spec.config_path(one) + ".path";
      const int error = errno;
      throw Error(ErrorKind::invalid_config,
                  "config.json: " + path + ": " + one.path + ": open: " + errno_text(error) +
                      "; the namespace that the container joins must exist")
          .with_errno(error, "open")
          .with_path(path);
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
  answer_mount_requests(init, plan, spawn_options.passed);
  init.await(wire::WaitTag::go);
  return external_mounts(init.pid(), spec, bundle.path);
}

}  // namespace

void Restoration::prepare() {
  bundle_ = read_bundle(options_);
  const Spec& spec = bundle_.spec;
  check_console(*spec.process, options_.stdio, options_.allow_terminal_without_socket);
  check_rootfs(rootfs_path(bundle_));
  refuse_unrestorable(spec, runtime_.systemd_cgroup);
  cgroups_ = find_cgroup_host();
  host_ = find_host(bundle_.path, cgroups_);
  complete_host(host_, spec, *spec.process);
  if (!options_.stdio.console_socket.empty()) {
    console_socket_ = connect_fd_socket(options_.stdio.console_socket, "--console-socket");
  }
  pidfd_socket_ = connect_pidfd_socket(options_.stdio.pidfd_socket, spec);
  prepare_request();
  resctrl_ = required_resctrl(spec);
  if (runtime_.systemd_cgroup) {
    unit_.emplace(runtime_, spec, id_, cgroups_);
  }
  cgroup_path_ = unit_ ? unit_->cgroup_path() : cgroup_path_for(spec, id_, cgroups_);
  null_ = inherit_descriptors(image_path(from_.criu), request_, start_);
  if (from_.criu.manage_cgroups == CgroupsMode::strict) {
    if (!unit_ && Cgroup::open(cgroups_, cgroup_path_)) {
      throw Error(ErrorKind::already_exists,
                  "--manage-cgroups-mode strict: the cgroup " + cgroup_path_ + " already exists")
          .with_path(cgroup_path_);
    }
    // The container's cgroup is new and has none below it to check, and criu would refuse the
    // container's cgroup itself, as tare has made it by then.
    request_.options.manage_cgroups = CgroupsMode::soft;
  }
  check_criu({.lazy_pages = from_.criu.lazy_pages});
  directories_ = open_criu_directories(from_.criu, request_.log_file.c_str(), false);
}

void Restoration::prepare_request() {
  request_.verb = CriuVerb::restore;
  request_.options = from_.criu;
  request_.restore = from_;
  request_.log_file = "restore.log";
  request_.config_file = criu_config_file(bundle_.spec);
  std::copy(std::begin(options_.stdio.fds), std::end(options_.stdio.fds), start_.stdio);
  namespaces_ = hand_over_namespaces(request_, start_, bundle_.spec);
}

void Restoration::make_resources() {
  const Spec& spec = bundle_.spec;
  dir_ = StateDir::create(runtime_.root, id_);
  rollback_.emplace(dir_, record_, spec, runtime_, unit_ ? &*unit_ : nullptr);
  Cgroup& cgroup = rollback_->cgroup();
  dir_.journal().note_origin("", cgroup_path_);
  if (!unit_) {
    cgroup = Cgroup::create(cgroups_, cgroup_path_, spec.linux_.resources, false);
  }
  if (unit_ || cgroup) {
    host_.cgroup_dir = cgroups_.mount_point.empty() ? "" : cgroups_.mount_point + cgroup_path_;
  } else {
    dir_.journal().forget_cgroup();
  }
  if (!resctrl_.empty()) {
    rdt_ = make_rdt_group(resctrl_, spec, id_, dir_);
  }
  if (spec.root.readonly) {
    read_only_.emplace_back("/");
  }
  for (const ExternalMount& mount :
       make_mount_points(bundle_, host_, cgroup.fd(), options_.no_pivot)) {
    request_.external.push_back("mnt[" + mount.path + "]:" + mount.source);
    if (mount.read_only) {
      read_only_.push_back(mount.path);
    }
  }
}

void Restoration::start_criu() {
  Cgroup& cgroup = rollback_->cgroup();
  // All restored processes are born in this cgroup.
  start_.cgroup = cgroup.fd();
  start_.root = rootfs_path(bundle_);
  start_.mount_directory = dir_.path();
  start_.mount_name = criu_root;
  request_.root = start_.mount_directory + "/" + start_.mount_name;
  criu_.emplace(start_);
  seen_ = seen_by(criu_->pid(), from_.criu, request_.log_file.c_str());
  request_.images = seen_.images.get();
  request_.work = seen_.work.get();
  record_ = make_record(bundle_, id_, host_.euid, true);
  record_.has_rdt = static_cast<bool>(rdt_);
  if (rdt_) {
    rdt_.add(criu_->pid());
  }
  if (unit_) {
    cgroup = unit_->start(criu_->pid());
    unit_->note(record_);
  }
  record_.cgroup_path = cgroup.path();
  request_.cgroup_root = cgroup ? cgroup_of(criu_->pid()) : "";
  dir_.write_config(bundle_.config);
}

void Restoration::restore_processes() {
  BlockingChild child(dir_);
  child.started(criu_->pid());
  criu_->carry_out(request_, directories_.log, [&](CriuNotice& notice) {
    if (notice.script == "setup-namespaces") {
      set_up_namespaces(notice.pid, child);
    } else if (notice.script == "orphan-pts-master") {
      take_terminal(std::move(notice.fd));
    } else if (notice.script == "post-restore") {
      finish_processes(notice.pid);
    }
  });
}

void Restoration::set_up_namespaces(pid_t init, BlockingChild& child) {
  const Hooks& hooks = bundle_.spec.hooks;
  init_.note(init);
  prepare_network(bundle_.spec, init_.pid());
  record_.pid = init_.pid();
  record_.start_time = start_time_of(init_.pid());
  if (hooks.prestart.empty() && hooks.create_runtime.empty()) {
    return;
  }
  rollback_->hooks_run();
  record_.creating = true;
  dir_.write(record_);
  const std::string state = hook_state(record_, Status::creating, init_.pid());
  run_host_hooks("prestart", hooks.prestart, state, bundle_.path, child.on_start());
  run_host_hooks("createRuntime", hooks.create_runtime, state, bundle_.path, child.on_start());
  child.started(criu_->pid());
  record_.creating = false;
}

void Restoration::take_terminal(Fd terminal) {
  process_.console = std::move(terminal);
  if (options_.prepare_console) {
    options_.prepare_console(process_.console.get());
  }
  if (console_socket_) {
    send_fd(console_socket_.get(), process_.console.get(), "/dev/ptmx");
    process_.console.reset();
  }
}

/// All processes are restored, and none of them has resumed yet.
void Restoration::finish_processes(pid_t init) {
  const Spec& spec = bundle_.spec;
  Cgroup& cgroup = rollback_->cgroup();
  init_.note(init);
  record_.pid = init_.pid();
  record_.start_time = start_time_of(init_.pid());
  record_.in_time_namespace = is_in_time_namespace(init_.pid());
  if (unit_) {
    unit_->apply(cgroup);
  } else if (cgroup) {
    cgroup.apply(spec.linux_.resources);
  }
  if (cgroup) {
    cgroup.attach_device_filter(spec.linux_.resources.devices, false);
    delegate_cgroup(cgroup, spec, host_);
    limit_nesting(cgroup, spec);
  }
  reset_affinity(init_.pid());
  make_read_only(init_, read_only_);
  dir_.write(record_);
}

StartedProcess Restoration::hand_over() {
  // criu restores credentials last.
  if (has_lost_no_new_privileges(*bundle_.spec.process, init_.pid())) {
    warn(runtime_,
         "config.json: process.noNewPrivileges: does not hold for the restored processes: criu "
         "before 3.19 does not save it; save and restore with a newer one");
  }
  if (pidfd_socket_) {
    send_fd(pidfd_socket_.get(), init_.pidfd(), "pidfd");
  }
  write_pid_file(options_.pid_file, init_.pid());
  for (const std::string& warning : bundle_.spec.warnings) {
    warn(runtime_, warning);
  }
  process_.pid = init_.pid();
  process_.pidfd = init_.release();
  rollback_->keep();
  return std::move(process_);
}

}  // namespace tare

// Opens, lists and signals containers, and reports their state.
#include "tare/container.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <cstdlib>
#include <string_view>

#include "container/features.h"
#include "container/hooks.h"
#include "container/host_facts.h"
#include "container/host_mounts.h"
#include "container/impl.h"
#include "container/systemd_unit.h"
#include "json/json.h"
#include "tare/error.h"
#include "tare/validate.h"

namespace tare {

namespace {

/// Whether the caller is an ordinary user, or the root of that user's own user namespace (as podman
/// calls a runtime). Where the machine is itself a container with a user namespace, its root has
/// USER set to "root".
bool is_ordinary_user() {
  if (geteuid() != 0) return true;
  const char* name = std::getenv("USER");
  return in_user_namespace() && (name == nullptr || std::string_view(name) != "root");
}

}  // namespace

std::string default_root() {
  if (!is_ordinary_user()) {
    return "/run/tare";
  }
  const char* runtime_dir = std::getenv("XDG_RUNTIME_DIR");
  if (runtime_dir != nullptr && runtime_dir[0] != '\0') {
    return std::string(runtime_dir) + "/tare";
  }
  if (geteuid() == 0) {
    return "/run/tare";
  }
  // The value of XDG_RUNTIME_DIR in the user's sessions; jobs and services do not have it set.
  const std::string uid = std::to_string(geteuid());
  const std::string of_sessions = "/run/user/" + uid;
  struct stat status{};
  if (lstat(of_sessions.c_str(), &status) == 0 && S_ISDIR(status.st_mode) &&
      status.st_uid == geteuid()) {
    return of_sessions + "/tare";
  }
  return "/tmp/tare-" + uid;
}

const char* status_name(Status status) noexcept {
  switch (status) {
    case Status::creating:
      return "creating";
    case Status::created:
      return "created";
    case Status::running:
      return "running";
    case Status::paused:
      return "paused";
    case Status::stopped:
      break;
  }
  return "stopped";
}

void write_state(json::Writer& writer, const ContainerState& state, bool full) {
  writer.begin_object();
  writer.key("ociVersion").string(state.oci_version);
  writer.key("id").string(state.id);
  if (full || state.status != Status::stopped) {
    writer.key("pid").number(state.pid);
  }
  writer.key("status").string(status_name(state.status));
  writer.key("bundle").string(state.bundle);
  if (full) {
    writer.key("rootfs").string(state.rootfs);
    writer.key("created").string(state.created);
  }
  if (!state.annotations.empty()) {
    writer.key("annotations").begin_object();
    for (const auto& [key, value] : state.annotations) {
      writer.key(key).string(value);
    }
    writer.end_object();
  }
  if (full) {
    writer.key("owner").string(state.owner == 0 ? "root" : std::to_string(state.owner));
  }
  writer.end_object();
}

std::string state_json(const ContainerState& state, bool full, int indent) {
  json::Writer writer(indent);
  write_state(writer, state, full);
  return writer.take();
}

Runtime resolve_runtime(const Runtime& runtime) {
  Runtime resolved = runtime;
  resolved.root = absolute_path(runtime.root.empty() ? default_root() : runtime.root);
  return resolved;
}

std::string seccomp_cache_dir(const Runtime& runtime) { return runtime.root + "/.@seccomp"; }

Error no_such_container(const std::string& id, const std::string& root) {
  return Error(ErrorKind::not_found, "container " + id + " does not exist (in " + root + ")")
      .with_path(root + "/" + id);
}

Error no_such_container(const Runtime& runtime, const std::string& id) {
  return no_such_container(id, resolve_runtime(runtime).root);
}

Error no_process() {
  return Error(
             ErrorKind::invalid_config,
             "config.json: process: is missing, so there is no program to start; describe one, or "
             "run one by `exec`")
      .with_path("process");
}

Unlock::~Unlock() { dir_.unlock(); }

Locked::Locked(StateDir& dir, const Runtime& runtime) : unlock_(dir) {
  if (!dir.lock()) {
    throw no_such_container(dir.id(), runtime.root);
  }
}

ContainerState told_state(const StateRecord& record, Status status, pid_t pid) {
  ContainerState state;
  state.oci_version = record.oci_version;
  state.id = record.id;
  state.status = status;
  state.pid = pid;
  state.bundle = record.bundle;
  state.annotations = record.annotations;
  return state;
}

std::string hook_state(const StateRecord& record, Status status, pid_t pid) {
  return state_json(told_state(record, status, pid), false, 0);
}

void Container::Impl::refresh() {
  if (record.creating) {
    if (std::optional<StateRecord> now = dir.read()) {
      record = std::move(*now);
    }
  }
}

Status Container::Impl::status() const {
  if (record.creating) {
    return is_alive(record.pid, record.start_time) ? Status::creating : Status::stopped;
  }
  // Other processes may change the container between these checks. In this order a created
  // container never appears to be running: its gate is held, or pause() has barred it since, or its
  // init is ending.
  const bool was_barred = dir.start_gate_barred();
  const bool held = !was_barred && dir.start_gate_held();
  const bool barred = was_barred || (!held && dir.start_gate_barred());
  const bool frozen = !held && cgroup().frozen();
  if (!is_alive(record.pid, record.start_time)) {
    return Status::stopped;
  }
  if (held) {
    return Status::created;
  }
  if (frozen) {
    return Status::paused;
  }
  // Barred but not frozen: another process thawed the cgroup by writing to cgroup.freeze.
  return barred ? Status::created : Status::running;
}

ContainerState Container::Impl::state() const {
  ContainerState state;
  state.oci_version = record.oci_version;
  state.id = record.id;
  state.status = status();
  state.pid = state.status == Status::stopped ? 0 : record.pid;
  state.bundle = record.bundle;
  state.rootfs = record.rootfs;
  state.created = record.created;
  state.owner = record.owner;
  state.annotations = record.annotations;
  return state;
}

Cgroup Container::Impl::take_cgroup() {
  return created_cgroup ? std::move(created_cgroup) : cgroup();
}

Cgroup Container::Impl::cgroup() const {
  if (record.cgroup_path.empty()) {
    return {};
  }
  return Cgroup::open(find_cgroup_host(), record.cgroup_path);
}

void Container::Impl::warn(const std::string& text) const {
  if (runtime.warn) {
    runtime.warn(text);
  }
}

Container::Container(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Container::Container(Container&&) noexcept = default;
Container& Container::operator=(Container&&) noexcept = default;
Container::~Container() = default;

Container Container::open(const Runtime& runtime, const std::string& id) {
  auto impl = std::make_unique<Impl>();
  impl->runtime = resolve_runtime(runtime);
  auto dir = StateDir::open(impl->runtime.root, id);
  auto record = dir.has_value() ? dir->read() : std::nullopt;
  if (!record.has_value()) {
    throw no_such_container(id, impl->runtime.root);
  }
  impl->dir = std::move(*dir);
  impl->record = std::move(*record);
  return Container(std::move(impl));
}

std::vector<ContainerState> Container::list(const Runtime& runtime) {
  const Runtime resolved = resolve_runtime(runtime);
  std::vector<ContainerState> states;
  for (const std::string& id : StateDir::list(resolved.root)) {
    try {
      auto dir = StateDir::open(resolved.root, id);
      auto record = dir.has_value() ? dir->read() : std::nullopt;
      if (record.has_value()) {
        Impl impl;
        impl.runtime = resolved;
        impl.dir = std::move(*dir);
        impl.record = std::move(*record);
        states.push_back(impl.state());
      }
    } catch (const Error& error) {
      // A damaged container, or one being deleted, must not hide the others.
      if (resolved.warn) {
        resolved.warn(error.what());
      }
    }
  }
  return states;
}

Container Container::again() const {
  auto impl = std::make_unique<Impl>();
  impl->runtime = impl_->runtime;
  impl->dir = impl_->dir.again();
  // Not a copy of this object's record: another thread may be in refresh().
  auto record = impl->dir.read();
  if (!record.has_value()) {
    throw no_such_container(id(), impl_->runtime.root);
  }
  impl->record = std::move(*record);
  return Container(std::move(impl));
}

bool Container::ends_with_init() const noexcept { return impl_->record.own_pid_namespace; }

bool Container::has_reaper() const noexcept { return impl_->record.has_reaper; }

// Not the record's id: refresh() replaces the record while error context frames still refer to the
// id.
const std::string& Container::id() const noexcept { return impl_->dir.id(); }

ContainerState Container::state() const {
  if (!impl_->dir.exists()) {
    throw no_such_container(id(), impl_->runtime.root);
  }
  return impl_->state();
}

const Spec& Container::spec() const {
  std::call_once(impl_->config_read, [this] {
    const auto config = impl_->dir.read_config();
    if (!config.has_value()) {
      throw no_such_container(id(), impl_->runtime.root);
    }
    impl_->config = parse_spec(*config, impl_->dir.path() + "/config.json");
    if (impl_->record.in_time_namespace && !impl_->config.has_namespace(NamespaceType::time)) {
      impl_->config.linux_.namespaces.push_back({NamespaceType::time, {}});
    }
  });
  return impl_->config;
}

std::vector<pid_t> Container::processes() const {
  const Cgroup cgroup = impl_->cgroup();
  if (cgroup) {
    return cgroup.processes();
  }
  return impl_->status() == Status::stopped ? std::vector<pid_t>{}
                                            : std::vector<pid_t>{impl_->record.pid};
}

StartedProcess Container::take_init() {
  if (!impl_->init.has_value()) {
    throw Error(ErrorKind::bad_status, "container " + id() + " was not created by this process");
  }
  StartedProcess process = std::move(*impl_->init);
  impl_->init.reset();
  return process;
}

std::string Container::notify_directory() const {
  return open_if_exists(impl_->dir.fd(), "notify", O_PATH | O_DIRECTORY).has_value()
             ? impl_->dir.path() + "/notify"
             : std::string();
}

Fd Container::pidfd() const {
  Fd pidfd = open_process(impl_->record.pid, impl_->record.start_time);
  if (!pidfd) {
    throw Error(ErrorKind::bad_status, "container " + id() + " is not running");
  }
  return pidfd;
}

pid_t pid_inside(pid_t pid) {
  constexpr std::string_view field = "\nNSpid:\t";
  const auto status = read_file_if_exists(AT_FDCWD, "/proc/" + std::to_string(pid) + "/status");
  const std::size_t at = status.has_value() ? status->find(field) : std::string::npos;
  if (at == std::string::npos) {
    return pid;
  }
  // One number for each nested pid namespace, the innermost last.
  const std::string_view line = std::string_view(*status).substr(
      at + field.size(), status->find('\n', at + 1) - at - field.size());
  pid_t inside = pid;
  const std::size_t last = line.rfind('\t') + 1;
  std::from_chars(line.data() + last, line.data() + line.size(), inside);
  return inside;
}

void Container::kill(int signal, bool all) {
  const Doing doing("kill", id());
  const Fd init = open_process(impl_->record.pid, impl_->record.start_time);
  if (!init) {
    // Without a pid namespace of the container's own, its other processes outlive init.
    const bool outlived = signal == SIGKILL && !impl_->record.own_pid_namespace;
    Cgroup cgroup = all || outlived ? impl_->cgroup() : Cgroup();
    if (!all && (!outlived || cgroup.processes().empty())) {
      throw Error(ErrorKind::bad_status, "container not running");
    }
    if (cgroup && signal == SIGKILL) {
      cgroup.kill_all();
    } else if (cgroup) {
      cgroup.signal_all(signal);
    }
    return;
  }
  // Without a pid namespace of the container's own, its other processes do not end with init.
  if (signal == SIGKILL && (all || !impl_->record.own_pid_namespace)) {
    Cgroup cgroup = impl_->cgroup();
    if (cgroup) {
      cgroup.kill_all();
      return;
    }
  }
  if (!signal_init(init.get(), impl_->record.has_reaper, signal)) {
    throw Error(ErrorKind::bad_status, "container not running");
  }
}

std::string features() { return features_json(); }

std::string version_details() {
  return "spec: " + std::string(oci_version) + "\nlibseccomp: " + seccomp_library_version() + "\n";
}

}  // namespace tare

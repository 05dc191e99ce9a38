// Opens and lists containers, and tells what their state directories hold.
#include "tare/container.h"

#include <fcntl.h>

#include <utility>

#include "container/features.h"
#include "container/impl.h"
#include "tare/error.h"

namespace tare {

Error no_such_container(const std::string& id, const std::string& root) {
  return Error(ErrorKind::not_found, "container " + id + " does not exist (in " + root + ")")
      .with_path(root + "/" + id);
}

Error no_such_container(const Runtime& runtime, const std::string& id) {
  return no_such_container(id, resolve_runtime(runtime).root);
}

Error no_process() {
  return Error(ErrorKind::invalid_config,
               "config.json: process: is missing, so no program can be started; add it, or run a "
               "program with `exec`")
      .with_path("process");
}

Unlock::~Unlock() { dir_.unlock(); }

Locked::Locked(StateDir& dir, const Runtime& runtime) : unlock_(dir) {
  if (!dir.lock()) {
    throw no_such_container(dir.id(), runtime.root);
  }
}

void Container::Impl::refresh() {
  if (record.creating) {
    if (std::optional<StateRecord> now = dir.read()) {
      record = std::move(*now);
    }
  }
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

void warn(const Runtime& runtime, const std::string& text) {
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
      warn(resolved, error.what());
    }
  }
  return states;
}

Container Container::reopen() const {
  auto impl = std::make_unique<Impl>();
  impl->runtime = impl_->runtime;
  impl->dir = impl_->dir.reopen();
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

std::string features() { return features_json(); }

std::string version_details() {
  return "spec: " + std::string(oci_version) + "\nlibseccomp: " + seccomp_library_version() + "\n";
}

}  // namespace tare

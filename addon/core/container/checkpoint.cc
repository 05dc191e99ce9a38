// checkpoint: has criu save a container, and removes it unless it is to go on.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "checkpoint/external_files.h"
#include "container/criu_session.h"
#include "container/impl.h"
#include "json/json.h"
#include "state/blocking_child.h"
#include "tare/error.h"

namespace tare {
namespace {

/// Throws `invalid_argument` for options that are wrong for any container.
void check_options(const CheckpointOptions& options) {
  const std::string& parent = options.parent_path;
  if (parent.starts_with('/')) {
    throw Error(
        ErrorKind::invalid_argument,
        "--parent-path " + parent + ": must be relative to --image-path, as criu records it");
  }
  if (!parent.empty()) {
    const std::string directory = image_path(options.criu) + "/" + parent;
    struct stat status{};
    int error = stat(directory.c_str(), &status) < 0 ? errno : 0;
    if (error == 0 && !S_ISDIR(status.st_mode)) {
      error = ENOTDIR;
    }
    // The image directory itself may not exist yet.
    if (error == ENOENT) {
      error = stat(absolute_path(directory).c_str(), &status) < 0 ? errno
              : S_ISDIR(status.st_mode)                           ? 0
                                                                  : ENOTDIR;
    }
    if (error != 0) {
      throw Error(ErrorKind::invalid_argument,
                  "invalid --parent-path " + parent + ": " + absolute_path(directory) + ": " +
                      errno_text(error) + "; it must be the directory of an earlier --pre-dump")
          .with_errno(error, "stat")
          .with_path(directory);
    }
  }
  if (options.pre_dump && options.criu.lazy_pages) {
    throw Error(ErrorKind::invalid_argument,
                "--pre-dump and --lazy-pages cannot be combined: --pre-dump saves the memory, "
                "--lazy-pages leaves it in the processes");
  }
  if (options.status_fd >= 0) {
    const std::string flag = "invalid --status-fd argument " + std::to_string(options.status_fd);
    const int flags = fcntl(options.status_fd, F_GETFL);
    if (flags < 0) {
      throw Error(ErrorKind::invalid_argument, flag + ": " + errno_text(errno))
          .with_errno(errno, "fcntl");
    }
    if ((flags & O_ACCMODE) == O_RDONLY) {
      throw Error(ErrorKind::invalid_argument, flag + ": not writable");
    }
  }
}

/// Adds the container's open files that belong to the host to `request`, as external files that
/// criu leaves alone. Returns the text of descriptors_file.
std::string add_external_files(CriuRequest& request, const std::vector<pid_t>& pids) {
  const ExternalFiles files = external_files(request.pid, pids);
  std::vector<std::string> all = files.streams;
  all.insert(all.end(), files.null_devices.begin(), files.null_devices.end());
  json::Writer writer;
  writer.begin_array();
  for (const std::string& one : all) {
    writer.string(one);
    if (is_external_key(one) &&
        std::ranges::find(request.external, one) == request.external.end()) {
      request.external.push_back(one);
    }
  }
  writer.end_array();
  return writer.take();
}

/// Declares the namespaces that the container has joined as external, so that criu does not save
/// them: "net[4026532008]:extRootNetNS".
void add_external_namespaces(CriuRequest& request, const Spec& spec) {
  for (const NamespaceType type : {NamespaceType::network, NamespaceType::pid}) {
    const Namespace* joined = spec.find_namespace(type);
    if (joined == nullptr || joined->path.empty()) {
      continue;
    }
    // "net:[4026532008]"
    std::string link =
        read_link("/proc/" + std::to_string(request.pid) + "/ns/" + namespace_proc_name(type));
    std::erase(link, ':');
    request.external.push_back(link + ":" + external_namespace_key(type));
  }
}

void write_status(int fd) {
  const char ready = '\0';
  while (write(fd, &ready, 1) < 0 && errno == EINTR) {
  }
  close(fd);
}

}  // namespace

void Container::checkpoint(const CheckpointOptions& options) {
  const ErrorContext context("checkpoint", id());
  check_options(options);
  refuse_without_privilege();
  const Locked locked(impl_->dir, impl_->runtime);
  impl_->refresh();
  const Status status = impl_->status();
  if (status != Status::running && status != Status::paused) {
    throw Error(ErrorKind::bad_status, std::string("a container that is ") + status_name(status) +
                                           " cannot be checkpointed" +
                                           (status == Status::created ? "; start it first" : ""));
  }
  refuse_unrestorable(spec(), !impl_->record.systemd_unit.empty());
  Criu criu(CriuStart{});
  criu.check({.mem_track = options.pre_dump, .lazy_pages = options.criu.lazy_pages});
  dump(options, criu);
  if (!options.leave_running && !options.pre_dump) {
    end_init();
    destroy(impl_->take_cgroup());
  }
}

void Container::dump(const CheckpointOptions& options, Criu& criu) {
  CriuRequest request;
  request.verb = options.pre_dump ? CriuVerb::pre_dump : CriuVerb::dump;
  request.options = options.criu;
  request.dump = options;
  request.log_file = "dump.log";
  request.config_file = criu_config_file(spec());
  request.root = impl_->record.rootfs;
  request.pid = impl_->record.pid;
  const CriuDirectories directories =
      open_criu_directories(options.criu, request.log_file.c_str(), true);
  request.images = directories.images.get();
  request.work = directories.work.get();
  add_external_namespaces(request, spec());
  const CgroupHost cgroups = find_cgroup_host();
  if (cgroups.mode == CgroupMode::unified && !impl_->record.cgroup_path.empty()) {
    request.freeze_cgroup = cgroups.mount_point + impl_->record.cgroup_path;
  }
  if (!options.pre_dump) {
    for (const ExternalMount& mount : external_mounts(request.pid, spec(), impl_->record.bundle)) {
      request.external.push_back("mnt[" + mount.path + "]:" + mount.path);
    }
    std::vector<pid_t> pids = processes();
    pids.push_back(request.pid);
    write_file_atomically(request.images, descriptors_file, add_external_files(request, pids));
  }
  int status_fd = options.status_fd;
  BlockingChild child(impl_->dir);
  child.started(criu.pid());
  criu.carry_out(request, directories.log, [&](CriuNotice& notice) {
    if (notice.script == "status-ready" && status_fd >= 0) {
      write_status(std::exchange(status_fd, -1));
    }
  });
}

}  // namespace tare

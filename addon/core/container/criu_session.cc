#include "container/criu_session.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <unistd.h>

#include <cctype>
#include <cerrno>

#include "container/host_facts.h"
#include "container/impl.h"
#include "tare/error.h"

namespace tare {
namespace {

/// Opens a directory below a process's `root`, from which absolute links are resolved, too:
/// containerd's work directory is one. Without `root` the path is opened as usual.
Fd open_directory(const std::string& path, const Fd& root, const char* flag) {
  Fd directory = open_resolved(root ? root.get() : AT_FDCWD, path, O_RDONLY | O_DIRECTORY,
                               root ? RESOLVE_IN_ROOT : 0);
  if (!directory) {
    const int error = errno;
    throw Error(ErrorKind::invalid_argument, std::string(flag) + ": " + path + ": open: " +
                                                 errno_text(error) + "; it must be a directory")
        .with_errno(error, "open")
        .with_path(path);
  }
  return directory;
}

CriuDirectories open_directories(const CriuOptions& options, const char* log, const Fd& root) {
  CriuDirectories directories;
  const std::string images = image_path(options);
  directories.images = open_directory(images, root, "--image-path");
  directories.log = images + "/" + log;
  if (!options.work_path.empty()) {
    const std::string work = absolute_path(options.work_path);
    directories.work = open_directory(work, root, "--work-path");
    directories.log = work + "/" + log;
  }
  return directories;
}

}  // namespace

void refuse_without_privilege() {
  if (geteuid() != 0 || in_user_namespace()) {
    throw Error(ErrorKind::unsupported,
                "criu(8) saves and restores only containers of the host's root; call tare as root, "
                "outside of any user namespace");
  }
}

void refuse_unrestorable(const Spec& spec, bool has_unit) {
  const auto refuse = [](const std::string& path, const std::string& why) {
    throw Error(ErrorKind::unsupported, "config.json: " + path + ": " + why).with_path(path);
  };
  if (!spec.makes_namespace(NamespaceType::mount)) {
    refuse("linux.namespaces",
           "a container without a mount namespace of its own cannot be restored; add {\"type\": "
           "\"mount\"}");
  }
  if (spec.mounts_root()) {
    refuse(
        "mounts[0].destination",
        "a root that is a mount of the container's cannot be restored: criu(8) mounts root.path; "
        "make that the root");
  }
  const Namespace* cgroup = spec.find_namespace(NamespaceType::cgroup);
  if (cgroup != nullptr && !cgroup->path.empty()) {
    refuse(spec.config_path(*cgroup) + ".path",
           "criu(8) cannot restore into an existing cgroup namespace; remove the path");
  }
  if (const Namespace* user = spec.find_namespace(NamespaceType::user)) {
    refuse(spec.config_path(*user),
           "a container with a user namespace cannot be restored: criu(8) opens its images, which "
           "only the host's root may read, as the container's root");
  }
  if (!cgroup_below(spec, has_unit).empty()) {
    refuse(spec.linux_.delegate_cgroup.empty() ? "annotations[\"run.oci.systemd.subgroup\"]"
                                               : "annotations[\"run.oci.delegate-cgroup\"]",
           "criu(8) cannot restore into a cgroup below the container's; remove the annotation");
  }
}

void check_criu(const CriuFeatures& wanted) { Criu(CriuStart{}).check(wanted); }

std::string image_path(const CriuOptions& options) {
  return absolute_path(options.image_path.empty() ? "checkpoint" : options.image_path);
}

CriuDirectories open_criu_directories(const CriuOptions& options, const char* log, bool make) {
  if (!options.work_path.empty()) {
    // Made for a restore, too: it writes a new log there.
    make_directories(absolute_path(options.work_path));
  }
  if (make) {
    make_directories(image_path(options));
  }
  return open_directories(options, log, {});
}

CriuDirectories seen_by(pid_t pid, const CriuOptions& options, const char* log) {
  const Fd root =
      open_file(AT_FDCWD, "/proc/" + std::to_string(pid) + "/root", O_PATH | O_DIRECTORY);
  return open_directories(options, log, root);
}

std::string criu_config_file(const Spec& spec) {
  const auto named = spec.annotations.find("org.criu.config");
  if (named != spec.annotations.end()) {
    return named->second;  // empty: none
  }
  // criu ignores a configuration file that does not exist.
  constexpr const char* own = "/etc/criu/tare.conf";
  return access(own, F_OK) == 0 ? own : "/etc/criu/runc.conf";
}

std::string external_namespace_key(NamespaceType type) {
  std::string name = namespace_proc_name(type);
  name.front() = static_cast<char>(std::toupper(static_cast<unsigned char>(name.front())));
  return "extRoot" + name + "NS";
}

}  // namespace tare

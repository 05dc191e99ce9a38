#include "host/remedies.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <optional>
#include <string>

#include "host/mountinfo.h"
#include "host/own_status.h"
#include "tare/error.h"
#include "tare/fd.h"

namespace tare {
namespace {

bool is_set_to(const char* sysctl, char value) {
  try {
    const std::optional<std::string> text = read_file_if_exists(AT_FDCWD, sysctl);
    return text.has_value() && text->size() == 2 && text->front() == value;
  } catch (const Error&) {
    return false;  // another error is being reported already
  }
}

/// Whether "/" is not a mount point: this process is in a chroot(2) to a plain directory. A chroot
/// to a mount point cannot be detected.
bool is_root_no_mount() {
  try {
    const auto mounts = read_file_if_exists(AT_FDCWD, "/proc/self/mountinfo");
    bool found = !mounts.has_value();
    for_each_mount(mounts.value_or(""), [&found](const MountLine& mount) {
      found = found || mount.point == "/";
      return !found;
    });
    return !found;
  } catch (const Error&) {
    return false;  // another error is being reported already
  }
}

}  // namespace

std::string user_namespace_remedy(int errnum) {
  if (errnum == ENOSPC && is_set_to("/proc/sys/user/max_user_namespaces", '0')) {
    return "; user namespaces are disabled on this host: set the sysctl user.max_user_namespaces, "
           "which is 0, to a few thousand";
  }
  if (errnum == ENOSPC) {
    return "; a limit on namespaces is reached: see user.max_*_namespaces in sysctl(8)";
  }
  if (errnum != EPERM && errnum != EACCES) {
    return {};
  }
  if (geteuid() != 0 && is_set_to("/proc/sys/kernel/unprivileged_userns_clone", '0')) {
    return "; user namespaces are disabled for ordinary users on this host: set the sysctl "
           "kernel.unprivileged_userns_clone to 1, or run as root";
  }
  if (geteuid() != 0 && is_set_to("/proc/sys/kernel/apparmor_restrict_unprivileged_userns", '1')) {
    return "; AppArmor restricts ordinary users' user namespaces on this host: load a "
           "profile for this program with the rule \"userns,\" (apparmor.d(5)), set the sysctl "
           "kernel.apparmor_restrict_unprivileged_userns to 0, or run as root";
  }
  if (is_root_no_mount()) {
    return "; this process is in a chroot, from which the kernel does not create user namespaces: "
           "run it outside, or with the chroot's directory as the root of its mount namespace "
           "(pivot_root(8))";
  }
  if (has_seccomp_filter()) {
    return "; this process has inherited a seccomp filter, as in a container, which may be the "
           "cause: run the outer container with a filter that allows clone, clone3, unshare, mount "
           "and setns "
           "(--security-opt seccomp=unconfined)";
  }
  return {};
}

std::string id_mapping_remedy(int errnum) {
  if (errnum == EINVAL) {
    return "; the file system of the source has no id-mapped mounts in this kernel, or is "
           "id-mapped "
           "already (mount_setattr(2)); use another one, or change the owners of its files";
  }
  if (errnum == EPERM) {
    return "; the source is id-mapped already, or its file system was mounted in a user namespace "
           "in which this process has no rights (mount_setattr(2))";
  }
  return {};
}

std::string busy_cgroup_remedy() {
  return "; the cgroup has controllers enabled for its children (cgroup.subtree_control), so it "
         "cannot hold processes: name another cgroup, such as a child of it, or remove it if it "
         "was left "
         "behind";
}

std::string device_remedy() {
  return "; the host's /dev has no node of this device to bind, and a user namespace cannot make "
         "one (mknod(2)): load the device's driver, or remove the device";
}

}  // namespace tare

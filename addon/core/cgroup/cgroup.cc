#include "cgroup/cgroup.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <linux/openat2.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "cgroup/controllers.h"
#include "cgroup/lists.h"
#include "tare/error.h"

namespace tare {

namespace {

/// Opens a directory strictly below `dirfd`. On failure returns no descriptor and sets errno.
Fd open_directory(int dirfd, const std::string& path) noexcept {
  return open_resolved(dirfd, path, O_PATH | O_DIRECTORY,
                       RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS);
}

/// Opens the root of the v2 tree as a detached mount that ends with the descriptor: the kernel has
/// the tree whether it is mounted or not. Returns none if this process may not mount it.
///
/// glibc's functions are not used: they came with 2.36, and the addon must load with older
/// versions.
Fd mount_tree() {
  const Fd context(static_cast<int>(syscall(SYS_fsopen, "cgroup2", FSOPEN_CLOEXEC)));
  if (!context ||
      syscall(SYS_fsconfig, context.get(), FSCONFIG_CMD_CREATE, nullptr, nullptr, 0) != 0) {
    return Fd();
  }
  return Fd(static_cast<int>(syscall(SYS_fsmount, context.get(), FSMOUNT_CLOEXEC,
                                     MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC)));
}

/// Opens the root of the v2 tree; none only in legacy mode.
Fd open_root(const CgroupHost& host) {
  if (host.mount_point.empty()) {
    return mount_tree();
  }
  Fd root = open_file(AT_FDCWD, host.mount_point, O_PATH | O_DIRECTORY);
  struct statfs status = {};
  if (fstatfs(root.get(), &status) != 0) {
    throw_errno("fstatfs", host.mount_point);
  }
  if (status.f_type != CGROUP2_SUPER_MAGIC) {
    throw Error(ErrorKind::system, host.mount_point + " is no longer a cgroup2 file system");
  }
  return root;
}

bool is_permission_error(int errnum) {
  return errnum == EACCES || errnum == EPERM || errnum == EROFS;
}

/// Why a controller could not be enabled for the children of a cgroup.
struct Refusal {
  int errnum = 0;
  std::string path;
};

/// The directories that a create() has made; removes them unless they are kept.
class MadeDirectories {
 public:
  MadeDirectories() = default;
  MadeDirectories(const MadeDirectories&) = delete;
  MadeDirectories& operator=(const MadeDirectories&) = delete;
  ~MadeDirectories() {
    for (; !made_.empty(); made_.pop_back()) {
      unlinkat(made_.back().first.get(), made_.back().second.c_str(), AT_REMOVEDIR);
    }
  }
  void add(Fd parent, std::string name) { made_.emplace_back(std::move(parent), std::move(name)); }
  void keep() noexcept { made_.clear(); }

 private:
  std::vector<std::pair<Fd, std::string>> made_;
};

Fd duplicate(const Fd& fd) {
  Fd copy(fcntl(fd.get(), F_DUPFD_CLOEXEC, 0));
  if (!copy) {
    throw_errno("fcntl(F_DUPFD_CLOEXEC)", "a cgroup's directory");
  }
  return copy;
}

std::string enabled_in(const Fd& directory) {
  return read_file(directory.get(), "cgroup.subtree_control");
}

/// Controllers to be enabled, separated by spaces.
struct Controllers {
  std::string wanted;
  std::string needed;  ///< those of `wanted` without which a limit would not hold
};

/// Walks from the root to the cgroup `path`, makes missing cgroups, and enables the controllers in
/// each. Returns none and sets errno if a directory can neither be opened nor made.
Fd walk(const Fd& root, const std::string& path, const Controllers& controllers,
        const std::string& mount_point, MadeDirectories& made, Refusal& refusal) {
  Fd current = duplicate(root);
  std::string shown = mount_point;
  const auto enable = [&] {
    const int errnum = enable_controllers(current.get(), controllers.wanted);
    const std::string& needed = controllers.needed;
    if (errnum != 0 && refusal.errnum == 0 &&
        !missing_controllers(needed, needed, enabled_in(current)).empty()) {
      refusal = {errnum, shown};
    }
  };
  enable();
  int failure = 0;
  for_each_part(path, '/', [&](std::string_view part) {
    const std::string name(part);
    shown.append("/").append(name);
    Fd next = open_directory(current.get(), name);
    if (!next && errno == ENOENT) {
      if (mkdirat(current.get(), name.c_str(), 0755) == 0) {
        made.add(duplicate(current), name);
      } else if (errno != EEXIST) {
        failure = errno;
        return false;
      }
      next = open_directory(current.get(), name);
    }
    if (!next) {
      failure = errno;
      return false;
    }
    current = std::move(next);
    enable();
    return true;
  });
  errno = failure;
  return failure == 0 ? std::move(current) : Fd();
}

std::string parent_of(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  return slash == 0 || slash == std::string::npos ? "/" : path.substr(0, slash);
}

const CgroupSetting* first_required(const std::vector<CgroupSetting>& settings) {
  const auto found = std::find_if(settings.begin(), settings.end(),
                                  [](const auto& each) { return each.required; });
  return found == settings.end() ? nullptr : &*found;
}

/// Whether a cgroup with the controllers `offered` has the setting's files.
bool can_hold(std::string_view offered, const CgroupSetting& setting) {
  return setting.controller.empty() || has_word(offered, setting.controller);
}

[[noreturn]] void refuse_not_delegated(const CgroupSetting& setting, const Refusal& refusal) {
  const std::string field = std::string(config_resources).append(setting.field);
  std::string message = field + " needs the " + setting.controller + " controller, which " +
                        refusal.path + " cannot enable for its children: ";
  if (refusal.errnum == EBUSY) {
    message +=
        "it contains processes (a cgroup v2 has either processes or controllers for children); set "
        "linux.cgroupsPath to a path below a cgroup without processes, or remove the limit";
  } else if (is_permission_error(refusal.errnum)) {
    message += errno_text(refusal.errnum) +
               "; have it delegated to you (systemd: Delegate=yes), or remove the limit";
  } else if (refusal.errnum != 0) {
    message += errno_text(refusal.errnum) + "; remove the limit";
  } else {
    message += "it is a threaded cgroup; set linux.cgroupsPath to another path";
  }
  Error error(ErrorKind::unsupported, message);
  error.with_errno(refusal.errnum, "write").with_path("linux.resources." + setting.field);
  throw error;
}

[[noreturn]] void refuse_without_permission(const CgroupSetting& setting, int errnum,
                                            const std::string& path) {
  const std::string field = std::string(config_resources).append(setting.field);
  Error error(
      ErrorKind::unsupported,
      field + " needs a cgroup, and " + path + " cannot be made: " + errno_text(errnum) +
          ": rootless needs no limits + no cgrouppath when no permission is granted for "
          "cgroups; run below a cgroup that is delegated to you (systemd-run --user --scope "
          "-p Delegate=yes …), or remove the limit");
  error.with_errno(errnum, "mkdir").with_path("linux.resources." + setting.field);
  throw error;
}

[[noreturn]] void fail_to_make(int errnum, const std::string& path) {
  std::string message = "unable to apply cgroup configuration: ";
  if (is_permission_error(errnum)) {
    message += "permission denied: ";
  }
  message += "make cgroup " + path + ": " + errno_text(errnum);
  if (is_permission_error(errnum)) {
    message +=
        "; have a cgroup delegated to you (systemd-run --user --scope -p Delegate=yes …) and name "
        "one below it, or leave linux.cgroupsPath and limits out";
  } else if (errnum == EAGAIN) {
    message += "; cgroup.max.depth or cgroup.max.descendants of a cgroup above it is reached";
  } else if (errnum == ENOTDIR || errnum == EXDEV) {
    message += "; choose another linux.cgroupsPath";
  }
  Error error(ErrorKind::system, message);
  error.with_errno(errnum, "mkdir").with_path(path);
  throw error;
}

/// Opens the parent of the cgroup `path` and enables in it every controller that `settings` need
/// and, as far as possible, the usual ones. Returns none and sets errno if there is no parent.
Fd open_parent(const Fd& root, const std::string& path, std::string_view offered,
               const std::string& mount_point, const std::vector<CgroupSetting>& settings,
               MadeDirectories& made) {
  const std::string parent_path = parent_of(path);
  Controllers controllers{std::string(usual_controllers), {}};
  const std::string& wanted = controllers.wanted;
  if (first_required(settings) != nullptr) {
    controllers.wanted = offered.substr(0, offered.find('\n'));
  }
  for (const CgroupSetting& setting : settings) {
    controllers.wanted.append(" ").append(setting.controller);
    controllers.needed.append(" ").append(setting.required ? setting.controller : "");
  }
  // The usual case first: the parent exists and has all wanted controllers that the tree offers.
  Fd parent =
      parent_path == "/" ? duplicate(root) : open_directory(root.get(), parent_path.substr(1));
  if (parent && (missing_controllers(wanted, offered, "").empty() ||
                 missing_controllers(wanted, offered, enabled_in(parent)).empty())) {
    return parent;
  }
  Refusal refusal{0, mount_point + parent_path};
  parent = walk(root, parent_path, controllers, mount_point, made, refusal);
  if (parent && !controllers.needed.empty()) {
    const std::string enabled = enabled_in(parent);
    for (const CgroupSetting& setting : settings) {
      if (setting.required && !can_hold(enabled, setting)) {
        refuse_not_delegated(setting, refusal);
      }
    }
  }
  return parent;
}

}  // namespace

void Cgroup::refuse_unoffered(const Fd& root, std::string_view offered,
                              const std::vector<CgroupSetting>& settings) const {
  for (const CgroupSetting& setting : settings) {
    if (setting.required && (!root || !can_hold(offered, setting))) {
      refuse_missing(setting, config_resources);
    }
  }
}

void Cgroup::refuse_unoffered(const CgroupHost& host, const Resources& resources) {
  Cgroup cgroup;
  cgroup.mount_point_ = host.mount_point;
  const Fd root = open_root(host);
  cgroup.refuse_unoffered(root, root ? read_file(root.get(), "cgroup.controllers") : std::string(),
                          cgroup_settings(resources));
}

Cgroup Cgroup::create(const CgroupHost& host, const std::string& path, const Resources& resources,
                      bool tolerate_permission_errors) {
  const std::vector<CgroupSetting> settings = cgroup_settings(resources);
  Cgroup cgroup;
  cgroup.mount_point_ = host.mount_point;
  const Fd root = open_root(host);
  const std::string offered = root ? read_file(root.get(), "cgroup.controllers") : std::string();
  cgroup.refuse_unoffered(root, offered, settings);
  if (!root) {
    return cgroup;
  }

  cgroup.path_ = path;
  MadeDirectories made;
  Fd parent = open_parent(root, path, offered, cgroup.mount_point_, settings, made);
  const std::string name = path.substr(path.rfind('/') + 1);
  cgroup.made_ = parent && mkdirat(parent.get(), name.c_str(), 0755) == 0;
  if (!cgroup.made_ && errno != EEXIST) {
    const int failure = errno;
    if (!tolerate_permission_errors || !is_permission_error(failure)) {
      fail_to_make(failure, cgroup.shown_path());
    }
    if (const CgroupSetting* setting = first_required(settings)) {
      refuse_without_permission(*setting, failure, cgroup.shown_path());
    }
    return Cgroup();
  }
  cgroup.dir_ = open_directory(parent.get(), name);
  const int failure = errno;
  if (cgroup.made_) {
    made.add(std::move(parent), name);
  }
  if (!cgroup.dir_) {
    fail_to_make(failure, cgroup.shown_path());
  }
  if (cgroup.made_) {
    // A new cgroup is frozen if an ancestor is, and init would never run.
    cgroup.refuse_frozen();
  } else {
    cgroup.refuse_in_use();
  }
  made.keep();
  return cgroup;
}

Cgroup Cgroup::open(const CgroupHost& host, const std::string& path) {
  Cgroup cgroup;
  const Fd root = path.empty() ? Fd() : open_root(host);
  if (!root) {
    return cgroup;
  }
  cgroup.dir_ = open_directory(root.get(), path.substr(1));
  if (!cgroup.dir_) {
    if (errno == ENOENT) {
      return cgroup;
    }
    throw_errno("openat2", host.mount_point + path);
  }
  cgroup.mount_point_ = host.mount_point;
  cgroup.path_ = path;
  return cgroup;
}

void Cgroup::refuse_in_use(const CgroupHost& host, std::string path) {
  if (const Cgroup cgroup = open(host, path)) {
    cgroup.refuse_in_use();
    return;
  }
  // The new cgroup will be frozen if its nearest existing ancestor is.
  for (path = parent_of(path); path != "/"; path = parent_of(path)) {
    if (const Cgroup above = open(host, path)) {
      above.refuse_frozen();
      return;
    }
  }
}

Cgroup Cgroup::below(const std::string& path) const {
  Cgroup cgroup;
  cgroup.mount_point_ = mount_point_;
  cgroup.path_ = path_ + "/" + path;
  for (std::size_t end = 0; end < path.size();) {
    end = std::min(path.find('/', end + 1), path.size());
    if (mkdirat(required_fd(), path.substr(0, end).c_str(), 0755) < 0 && errno != EEXIST) {
      throw_errno("mkdir", cgroup.shown_path());
    }
  }
  cgroup.dir_ = open_directory(required_fd(), path);
  if (!cgroup.dir_) {
    throw_errno("openat2", cgroup.shown_path());
  }
  return cgroup;
}

std::string Cgroup::shown_path() const {
  return mount_point_.empty() ? "cgroup2:" + path_ : mount_point_ + path_;
}

}  // namespace tare

// Finds the cgroup2 tree, and a container's path in it.

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/statfs.h>

#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "cgroup/cgroup.h"
#include "cgroup/lists.h"
#include "host/mountinfo.h"
#include "tare/error.h"

namespace tare {

namespace {

constexpr const char* unified_mount_point = "/sys/fs/cgroup";
constexpr const char* hybrid_mount_point = "/sys/fs/cgroup/unified";

bool is_cgroup2(const char* path) {
  struct statfs status = {};
  return statfs(path, &status) == 0 && status.f_type == CGROUP2_SUPER_MAGIC;
}

/// Returns the mount point of the first cgroup2 mount that shows the whole tree and is not hidden
/// below another mount; empty if there is none.
std::string find_cgroup2_mount() {
  const std::optional<std::string> mounts = read_file_if_exists(AT_FDCWD, "/proc/self/mountinfo");
  std::string found;
  for_each_mount(mounts.value_or(""), [&found](const MountLine& mount) {
    if (mount.type == "cgroup2" && mount.root == "/" && is_cgroup2(mount.point.c_str())) {
      found = mount.point;
    }
    return found.empty();
  });
  return found;
}

/// Returns the calling process's own cgroup in the v2 tree: the line "0::/path" of
/// /proc/self/cgroup.
std::string own_cgroup() {
  const std::string file = read_file(AT_FDCWD, "/proc/self/cgroup");
  std::string found;
  for_each_part(file, '\n', [&](std::string_view line) {
    if (line.starts_with("0::")) {
      found = line.substr(3);
    }
    return found.empty();
  });
  return found.empty() ? "/" : found;
}

}  // namespace

CgroupHost find_cgroup_host() {
  if (is_cgroup2(unified_mount_point)) {
    return {CgroupMode::unified, unified_mount_point};
  }
  if (is_cgroup2(hybrid_mount_point)) {
    return {CgroupMode::hybrid, hybrid_mount_point};
  }
  std::string mount_point = find_cgroup2_mount();
  if (mount_point.empty()) {
    return {};
  }
  return {CgroupMode::hybrid, std::move(mount_point)};
}

std::string cgroup_path_for(const Spec& spec, const std::string& id, const CgroupHost& host) {
  const std::string& given = spec.linux_.cgroups_path;
  const auto refuse = [&](const char* why) {
    Error error(ErrorKind::invalid_config,
                "config.json: linux.cgroupsPath: invalid path \"" + given + "\": " + why);
    error.with_path("linux.cgroupsPath");
    throw error;
  };
  if (given.find('\0') != std::string::npos) {
    refuse("it contains a NUL byte; remove it");
  }
  std::string clean;
  for_each_part(given.empty() ? id : given, '/', [&](std::string_view part) {
    if (part == "..") {
      if (clean.empty()) {
        refuse("it leaves the cgroup where it begins; write it without \"..\"");
      }
      clean.resize(clean.rfind('/'));
    } else if (part != ".") {
      clean.append("/").append(part);
    }
    return true;
  });
  if (clean.empty()) {
    refuse("it does not end with the name of a cgroup; append one");
  }
  if (given.starts_with('/') || host.mode == CgroupMode::legacy) {
    return clean;
  }
  const std::string own = own_cgroup();
  return own.substr(0, own.rfind('/')) + clean;
}

}  // namespace tare

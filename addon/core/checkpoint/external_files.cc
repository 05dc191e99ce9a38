#include "checkpoint/external_files.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <optional>

#include "host/mountinfo.h"
#include "spawn/spawn.h"
#include "spec/mount_options.h"
#include "tare/error.h"
#include "tare/fd.h"

namespace tare {

namespace {

/// A mount point of the config, and what is mounted there.
struct MountPoint {
  std::string path;
  const Mount* mount = nullptr;  ///< null: a device or a masked path
  bool bound = false;
};

/// Resolves `path` below `root`, whose symlinks the container controls. Returns an empty string if
/// that fails: then nothing is mounted there any more.
std::string resolve(int root, const std::string& path) {
  const Fd target = open_resolved(root, path, O_PATH, RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS);
  if (!target) {
    return {};
  }
  return read_link("/proc/self/fd/" + std::to_string(target.get()));
}

std::string source_of(const Mount& mount, const std::string& bundle) {
  const std::string within = read_mount_options(mount).source_within;
  return absolute_path_in(within.empty() ? bundle : within, mount.source);
}

bool is_at_or_below(const std::string& path, const std::string& top) {
  return path == top || (path.starts_with(top) && path[top.size()] == '/') || top == "/";
}

std::vector<MountPoint> mount_points_of(int root, const Spec& spec) {
  std::vector<MountPoint> mount_points;
  for (const Mount& mount : spec.mounts) {
    const MountOptions options = read_mount_options(mount);
    if (!options.remount) {
      mount_points.push_back({resolve(root, mount.destination), &mount, options.bind});
    }
  }
  for (const Device& device : spec.linux_.devices) {
    mount_points.push_back({resolve(root, device.path), nullptr, true});
  }
  // A masked path is the container's own mount, even inside a mount of the host's.
  for (const std::string& path : spec.linux_.masked_paths) {
    mount_points.push_back({resolve(root, path), nullptr, false});
  }
  return mount_points;
}

}  // namespace

std::vector<ExternalMount> external_mounts(pid_t pid, const Spec& spec, const std::string& bundle) {
  const Fd root = open_root_of(pid);
  if (!root) {
    throw_errno("open", "the root of process " + std::to_string(pid));
  }
  const std::vector<MountPoint> mount_points = mount_points_of(root.get(), spec);
  std::vector<std::string> read_only;
  for (const std::string& path : spec.linux_.readonly_paths) {
    read_only.push_back(resolve(root.get(), path));
  }
  std::vector<ExternalMount> external;
  const std::string mountinfo = read_file(AT_FDCWD, "/proc/" + std::to_string(pid) + "/mountinfo");
  for_each_mount(mountinfo, [&](const MountLine& line) {
    const MountPoint* owner = nullptr;
    for (const MountPoint& one : mount_points) {
      // The nearest configured mount point above this one, and the last of equal ones: a later
      // mount hides an earlier one.
      if (!one.path.empty() && is_at_or_below(line.point, one.path) &&
          (owner == nullptr || one.path.size() >= owner->path.size())) {
        owner = &one;
      }
    }
    const bool seen = std::ranges::any_of(
        external, [&](const ExternalMount& one) { return one.path == line.point; });
    if (owner != nullptr && owner->bound && !seen) {
      const std::string source =
          owner->mount == nullptr ? owner->path : absolute_path(source_of(*owner->mount, bundle));
      const std::string rest = line.point.substr(owner->path == "/" ? 0 : owner->path.size());
      external.push_back({line.point, rest == "/" ? source : source + rest,
                          std::ranges::find(read_only, line.point) != read_only.end()});
    } else if (line.type == "devtmpfs" && !seen) {
      // A device that only the host could make, or a device mounted over a masked path.
      external.push_back({line.point, "/dev" + std::string(line.root)});
    }
    return true;
  });
  return external;
}

namespace {

/// The mount ids of a process.
class MountIds {
 public:
  explicit MountIds(pid_t pid) {
    const std::string text = read_file(AT_FDCWD, "/proc/" + std::to_string(pid) + "/mountinfo");
    for_each_mount(text, [this](const MountLine& line) {
      ids_.emplace_back(line.id);
      return true;
    });
  }
  bool has(const std::string& id) const { return std::ranges::find(ids_, id) != ids_.end(); }

 private:
  std::vector<std::string> ids_;
};

/// Returns criu's key for the open file behind `link`, or an empty string if the file is on one of
/// `mounts` or is no longer open.
std::string key_of(pid_t pid, const std::string& fd, const std::string& link,
                   const MountIds& mounts) {
  const std::string directory = "/proc/" + std::to_string(pid);
  constexpr std::string_view field = "\nmnt_id:\t";
  std::optional<std::string> info;
  try {
    info = read_file_if_exists(AT_FDCWD, directory + "/fdinfo/" + fd);
  } catch (const Error&) {
    // The process has ended or closed the file meanwhile: ESRCH, or ENOENT of read(2).
  }
  const std::size_t at = info.has_value() ? info->find(field) : std::string::npos;
  struct stat status{};
  if (at == std::string::npos || stat((directory + "/fd/" + fd).c_str(), &status) < 0) {
    return {};
  }
  const std::size_t begin = at + field.size();
  const std::string id = info->substr(begin, info->find('\n', begin) - begin);
  if (mounts.has(id)) {
    return {};
  }
  std::array<char, 64> key{};
  if (S_ISCHR(status.st_mode) && link.starts_with("/dev/pts/")) {
    std::snprintf(key.data(), key.size(), "tty[%lx:%lx]", status.st_rdev, status.st_dev);
  } else {
    std::snprintf(key.data(), key.size(), "file[%lx:%lx]", std::strtoul(id.c_str(), nullptr, 10),
                  status.st_ino);
  }
  return key.data();
}

std::vector<std::string> entries(const std::string& directory) {
  std::vector<std::string> names;
  if (DIR* stream = opendir(directory.c_str())) {
    while (const dirent* entry = readdir(stream)) {
      if (entry->d_name[0] != '.') {
        names.emplace_back(entry->d_name);
      }
    }
    closedir(stream);
  }
  return names;
}

}  // namespace

bool is_external_key(std::string_view text) {
  return text.starts_with("file[") || text.starts_with("tty[");
}

ExternalFiles external_files(pid_t pid, const std::vector<pid_t>& pids) {
  constexpr const char* null_device = "/dev/null";
  const MountIds mounts(pid);
  ExternalFiles files;
  const auto link_of = [](pid_t one, const std::string& fd) {
    return read_link("/proc/" + std::to_string(one) + "/fd/" + fd);
  };
  for (const char* fd : {"0", "1", "2"}) {
    std::string link = link_of(pid, fd);
    const bool own = !link.starts_with('/') || link == null_device;
    std::string key = own ? std::string() : key_of(pid, fd, link, mounts);
    files.streams.push_back(key.empty() ? std::move(link) : std::move(key));
  }
  for (const pid_t one : pids) {
    for (const std::string& fd : entries("/proc/" + std::to_string(one) + "/fd")) {
      if (link_of(one, fd) != null_device) {
        continue;
      }
      const std::string key = key_of(one, fd, null_device, mounts);
      if (!key.empty() && std::ranges::find(files.null_devices, key) == files.null_devices.end()) {
        files.null_devices.push_back(key);
      }
    }
  }
  return files;
}

}  // namespace tare

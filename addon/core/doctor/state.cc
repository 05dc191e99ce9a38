// The directory for the state of containers.

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/statvfs.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "doctor/examine.h"
#include "state/root.h"
#include "tare/error.h"
#include "tare/fd.h"

namespace tare {

namespace {

constexpr std::uint64_t little_space = std::uint64_t{1} << 20;  // bytes
constexpr std::uint64_t few_files = 64;

std::string parent_of(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  return slash == 0 || slash == path.npos ? "/" : path.substr(0, slash);
}

/// Whether a path is on a file system of one of these kinds.
template <std::size_t count>
bool is_on(const std::string& path, const std::array<std::uint32_t, count>& kinds) {
  struct statfs status = {};
  return statfs(path.c_str(), &status) == 0 &&
         std::ranges::find(kinds, static_cast<std::uint32_t>(status.f_type)) != kinds.end();
}

/// Network file systems: their locks are delayed or missing.
constexpr std::array<std::uint32_t, 4> remote = {NFS_SUPER_MAGIC, SMB2_SUPER_MAGIC,
                                                 CIFS_SUPER_MAGIC, CEPH_SUPER_MAGIC};
/// Kernel file systems.
constexpr std::array<std::uint32_t, 4> of_kernel = {PROC_SUPER_MAGIC, SYSFS_MAGIC,
                                                    CGROUP2_SUPER_MAGIC, SECURITYFS_MAGIC};

/// Returns why state cannot be stored in `directory`; empty if it can.
std::string refusal(const std::string& directory) {
  if (is_on(directory, of_kernel)) {
    return "this is a kernel file system, which cannot store files";
  }
  if (faccessat(AT_FDCWD, directory.c_str(), W_OK | X_OK, AT_EACCESS) != 0) {
    return errno_text(errno);
  }
  // Creates an unnamed file, because quotas and security modules may refuse it too. Not every file
  // system supports that.
  const Fd file = open_or_none(AT_FDCWD, directory.c_str(), O_TMPFILE | O_RDWR);
  if (!file && errno != EOPNOTSUPP && errno != EISDIR && errno != ENOENT) {
    return errno_text(errno);
  }
  return {};
}

void examine_space(Finding& finding, const std::string& directory) {
  struct statvfs space = {};
  if (statvfs(directory.c_str(), &space) != 0) {
    return;
  }
  const bool root = geteuid() == 0;
  const std::uint64_t bytes =
      static_cast<std::uint64_t>(root ? space.f_bfree : space.f_bavail) * space.f_frsize;
  const std::uint64_t files = root ? space.f_ffree : space.f_favail;
  const bool counts_files = space.f_files != 0;
  if (space.f_blocks != 0 && bytes < little_space) {
    finding.status = bytes == 0 ? FindingStatus::missing : FindingStatus::limited;
    finding.found += ": its file system has " + std::to_string(bytes) + " bytes left";
  } else if (counts_files && files < few_files) {
    finding.status = files == 0 ? FindingStatus::missing : FindingStatus::limited;
    finding.found += ": its file system has room for " + std::to_string(files) + " files";
  } else {
    return;
  }
  finding.remedy = "make room there, or name another directory: --root DIR";
}

}  // namespace

void examine_state(const ExaminedCaller& caller, Findings& findings) {
  Finding finding{.group = "state",
                  .name = "state-root",
                  .required = true,
                  .found = caller.runtime.root,
                  .needed_for = "the state of each container"};
  std::string directory = caller.runtime.root;
  while (directory != "/" && access(directory.c_str(), F_OK) != 0 && errno == ENOENT) {
    directory = parent_of(directory);
  }
  examine_space(finding, directory);
  const bool full = finding.status == FindingStatus::missing;
  const std::string reason = full ? std::string() : refusal(directory);
  if (const std::string problem = state_root_problem(caller.runtime.root); !problem.empty()) {
    finding.status = FindingStatus::missing;
    finding.found += ": " + problem;
    finding.remedy =
        "name a directory that belongs to you and that you alone may write to: --root DIR";
  } else if (!reason.empty()) {
    finding.status = FindingStatus::missing;
    finding.found += ": " + (directory == caller.runtime.root ? "" : directory + ": ") + reason;
    finding.remedy = std::string("name a directory that you may write to: --root DIR") +
                     (caller.rootless ? ", or set XDG_RUNTIME_DIR" : "");
  } else if (is_on(directory, remote)) {
    finding.status = FindingStatus::limited;
    finding.found += ": a network file system, on which locks may not work";
    finding.remedy = "name a directory on a tmpfs, such as one in /run: --root DIR";
  }
  findings.push_back(std::move(finding));
}

}  // namespace tare

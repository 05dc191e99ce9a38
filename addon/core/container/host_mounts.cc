#include "container/host_mounts.h"

#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include <cstdint>
#include <string>

namespace tare {
namespace {

#ifndef STATX_MNT_ID
#define STATX_MNT_ID 0x1000U
#endif
constexpr unsigned unique_mount_id = 0x4000U;  // STATX_MNT_ID_UNIQUE

/// Returns the id of the mount that contains `path`; 0 if unknown. Since Linux 6.8 ids are never
/// reused.
std::uint64_t mount_at(const std::string& path) {
  struct statx status{};
  const int flags = AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT | AT_STATX_DONT_SYNC;
  if (statx(AT_FDCWD, path.c_str(), flags, STATX_MNT_ID | unique_mount_id, &status) < 0) {
    return 0;
  }
  return status.stx_mnt_id;
}

}  // namespace

bool mounts_on_host(const Spec& spec) {
  return !spec.has_namespace(NamespaceType::mount) && (!spec.mounts.empty() || spec.root.readonly);
}

void note_root(const StateDir& dir, const std::string& rootfs) {
  dir.journal().note_root({rootfs, mount_at(rootfs), 0});
}

void note_root_mount(const StateDir& dir) {
  const auto noted = dir.journal().root();
  if (noted.has_value()) {
    dir.journal().note_root_mount(mount_at(noted->path));
  }
}

void detach_root_mount(const StateDir& dir) {
  const auto noted = dir.journal().root();
  if (!noted.has_value()) {
    return;
  }
  const std::uint64_t now = mount_at(noted->path);
  if (now != 0 && (noted->own != 0 ? now == noted->own : now != noted->before)) {
    umount2(noted->path.c_str(), MNT_DETACH | UMOUNT_NOFOLLOW);
  }
}

}  // namespace tare

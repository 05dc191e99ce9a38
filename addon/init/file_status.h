// The status of an open file, as far as init needs it.
#pragma once

#include <linux/stat.h>

#include "init.h"

namespace init {

struct FileStatus {
  std::uint32_t mode = 0;
  std::uint32_t major = 0;  // of the device that a device node refers to
  std::uint32_t minor = 0;
  std::uint32_t uid = 0;
  std::uint64_t inode = 0;
  std::uint64_t mount_id = 0;
};

inline long stat_fd(int fd, FileStatus& status) {
  struct statx buffer{};
  const long result =
      sys::call(__NR_statx, fd, "", AT_EMPTY_PATH, STATX_BASIC_STATS | STATX_MNT_ID, &buffer);
  if (result >= 0) {
    status.mode = buffer.stx_mode;
    status.major = buffer.stx_rdev_major;
    status.minor = buffer.stx_rdev_minor;
    status.uid = buffer.stx_uid;
    status.inode = buffer.stx_ino;
    status.mount_id = buffer.stx_mnt_id;
  }
  return result;
}

/// dev_t, as mknod(2) takes it.
inline std::uint64_t device_number(std::uint32_t major, std::uint32_t minor) {
  return (minor & 0xff) | (std::uint64_t{major} << 8) | (std::uint64_t{minor & ~0xffU} << 12);
}
inline std::uint64_t device_number(const FileStatus& status) {
  return device_number(status.major, status.minor);
}

/// Returns whether the file is the null device.
inline bool is_null_device(const FileStatus& status) {
  return (status.mode & S_IFMT) == S_IFCHR && status.major == 1 && status.minor == 3;
}

/// Returns f_type of statfs(2), or 0 if that fails.
inline long file_system_magic(int fd) {
  long buffer[16] = {};  // struct statfs: f_type is its first word on 64-bit kernels
  return sys::call(__NR_fstatfs, fd, buffer) < 0 ? 0 : buffer[0];
}

}  // namespace init

// tmpcopyup: copies the contents of the directory that a tmpfs will cover into the tmpfs before it
// is attached. Works on file descriptors and follows no symlinks, since other processes may write
// to the directory; memory use is bounded.
#include <linux/stat.h>

#include "file_status.h"
#include "init.h"

namespace init {
namespace {

constexpr int deepest = 60;  // nesting of directories; each level has two descriptors open
constexpr std::size_t buffer_size = std::size_t{32} << 10;
constexpr std::size_t longest_list = std::size_t{16} << 10;
constexpr std::size_t longest_attribute = std::size_t{64} << 10;  // XATTR_SIZE_MAX

// struct linux_dirent64 of getdents64(2).
struct Entry {
  std::uint64_t inode;
  std::int64_t next;  // position of the directory after this entry
  std::uint16_t size;
  std::uint8_t type;
  char name[1];
};

struct Level {
  int from = 0;
  int to = 0;
};

Level levels[deepest];
int depth = 0;
alignas(8) char entries[buffer_size];

struct Times {
  std::int64_t seconds = 0;
  std::int64_t nanoseconds = 0;
};

Outcome set_times(int directory, const char* name, const struct statx& status) {
  const Times times[2] = {{status.stx_atime.tv_sec, status.stx_atime.tv_nsec},
                          {status.stx_mtime.tv_sec, status.stx_mtime.tv_nsec}};
  return check(sys::call(__NR_utimensat, directory, name, times, AT_SYMLINK_NOFOLLOW), Step::chmod);
}

// Owner before mode: chown(2) clears the set-user-id bit. An id without a mapping in this user
// namespace cannot be set (EINVAL): such files belong to root.
Outcome set_owner_and_mode(int directory, const char* name, const struct statx& status) {
  long result = sys::call(__NR_fchownat, directory, name, status.stx_uid, status.stx_gid,
                          AT_SYMLINK_NOFOLLOW);
  if (result < 0 && result != -EINVAL) {
    return failure(result, Step::chown);
  }
  if ((status.stx_mode & S_IFMT) == S_IFLNK) {
    return ok;
  }
  result = sys::call(__NR_fchmodat, directory, name, status.stx_mode & 07777U);
  return check(result, Step::chmod);
}

// Leaves out attributes that tmpfs in this kernel, or root of this user namespace, cannot have:
// tmpfs has user.* since Linux 6.6, trusted.* needs root of the host. The mount sets its own
// SELinux label.
Outcome copy_attributes(int from, int to) {
  static char names[longest_list];
  static char value[longest_attribute];
  const long size = sys::call(__NR_flistxattr, from, names, sizeof names);
  if (size == -EOPNOTSUPP) {
    return ok;
  }
  if (size < 0) {
    return failure(size, Step::read);
  }
  for (long at = 0; at < size; at += static_cast<long>(sys::length(names + at)) + 1) {
    const char* name = names + at;
    if (sys::equal(name, "security.selinux")) {
      continue;
    }
    const long got = sys::call(__NR_fgetxattr, from, name, value, sizeof value);
    const long set = got < 0 ? got : sys::call(__NR_fsetxattr, to, name, value, got, 0);
    if (set < 0 && set != -EOPNOTSUPP && set != -EPERM && set != -ENODATA) {
      return failure(set, Step::write);
    }
  }
  return ok;
}

Outcome copy_file(const Level& level, const char* name) {
  // Another process may have replaced the file since: the open must neither block nor follow a
  // symlink.
  Handle from(sys::call(__NR_openat, level.from, name,
                        O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC));
  if (!from.valid()) {
    return failure(from.get(), Step::open);
  }
  struct statx status{};
  const long looked =
      sys::call(__NR_statx, from.get(), "", AT_EMPTY_PATH, STATX_BASIC_STATS, &status);
  if (looked < 0 || (status.stx_mode & S_IFMT) != S_IFREG) {
    return failure(looked < 0 ? looked : -EAGAIN, Step::stat);
  }
  Handle to(sys::call(__NR_openat, level.to, name,
                      O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (!to.valid()) {
    return failure(to.get(), Step::open);
  }
  constexpr long at_once = 1L << 30;
  long sent = 0;
  do {
    sent = sys::call(__NR_sendfile, to.get(), from.get(), 0L, at_once);
  } while (sent > 0 || sent == -EINTR);
  if (sent < 0) {
    return failure(sent, Step::write);
  }
  if (const Outcome outcome = set_owner_and_mode(level.to, name, status); outcome.failed()) {
    return outcome;
  }
  if (const Outcome outcome = copy_attributes(from.get(), to.get()); outcome.failed()) {
    return outcome;
  }
  const Outcome outcome = set_times(level.to, name, status);
  from.close();
  to.close();
  return outcome;
}

Outcome copy_link(const Level& level, const char* name, const struct statx& status) {
  static char target[path_max];
  const long size = sys::call(__NR_readlinkat, level.from, name, target, sizeof target - 1);
  if (size < 0) {
    return failure(size, Step::readlink);
  }
  target[size] = '\0';
  if (const long made = sys::call(__NR_symlinkat, target, level.to, name); made < 0) {
    return failure(made, Step::symlink);
  }
  if (const Outcome outcome = set_owner_and_mode(level.to, name, status); outcome.failed()) {
    return outcome;
  }
  return set_times(level.to, name, status);
}

Outcome copy_node(const Level& level, const char* name, const struct statx& status) {
  const long made = sys::call(__NR_mknodat, level.to, name, status.stx_mode & S_IFMT,
                              device_number(status.stx_rdev_major, status.stx_rdev_minor));
  if (made < 0) {
    return failure(made, Step::mknod);
  }
  if (const Outcome outcome = set_owner_and_mode(level.to, name, status); outcome.failed()) {
    return outcome;
  }
  return set_times(level.to, name, status);
}

// Creates the directory and makes it the next level.
Outcome enter_directory(const Level& level, const char* name, const struct statx& status) {
  if (depth == deepest) {
    return {0, Step::too_long};
  }
  constexpr int how = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
  const long made = sys::call(__NR_mkdirat, level.to, name, 0700);
  if (made < 0) {
    return failure(made, Step::mkdir);
  }
  if (const Outcome outcome = set_owner_and_mode(level.to, name, status); outcome.failed()) {
    return outcome;
  }
  const long from = sys::call(__NR_openat, level.from, name, how);
  if (from < 0) {
    return failure(from, Step::open);
  }
  const long to = sys::call(__NR_openat, level.to, name, how);
  if (to < 0) {
    return failure(to, Step::open);
  }
  levels[depth++] = {static_cast<int>(from), static_cast<int>(to)};
  return copy_attributes(static_cast<int>(from), static_cast<int>(to));
}

Outcome copy_entry(const Level& level, const char* name) {
  struct statx status{};
  const long looked = sys::call(__NR_statx, level.from, name, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT,
                                STATX_BASIC_STATS, &status);
  if (looked < 0) {
    return looked == -ENOENT ? ok : failure(looked, Step::stat);  // removed in the meantime
  }
  switch (status.stx_mode & S_IFMT) {
    case S_IFDIR:
      return enter_directory(level, name, status);
    case S_IFREG:
      return copy_file(level, name);
    case S_IFLNK:
      return copy_link(level, name, status);
    default:
      return copy_node(level, name, status);
  }
}

// Copies from the directory's current position to its end, or up to and including a directory in
// it, which then is the next level. `at_end` is false unless the end was reached.
Outcome copy_entries(Context& context, bool& at_end) {
  const Level level = levels[depth - 1];
  const int here = depth;
  for (;;) {
    const long got = sys::call(__NR_getdents64, level.from, entries, sizeof entries);
    if (got <= 0) {
      at_end = got == 0;
      return check(got, Step::read);
    }
    for (long at = 0; at < got;) {
      const auto* entry = reinterpret_cast<const Entry*>(entries + at);
      at += entry->size;
      if (sys::equal(entry->name, ".") || sys::equal(entry->name, "..")) {
        continue;
      }
      if (const Outcome outcome = copy_entry(level, entry->name); outcome.failed()) {
        const std::size_t size = sys::length(entry->name);
        memcpy(context.detail, entry->name,
               size < sizeof context.detail ? size + 1 : sizeof context.detail - 1);
        return outcome;
      }
      if (depth != here) {
        at_end = false;
        return check(sys::call(__NR_lseek, level.from, entry->next, 0 /* SEEK_SET */), Step::read);
      }
    }
  }
}

// A directory's times are set last: creating entries in it changes them.
Outcome leave_directory() {
  const Level level = levels[--depth];
  struct statx status{};
  const long looked =
      sys::call(__NR_statx, level.from, "", AT_EMPTY_PATH, STATX_BASIC_STATS, &status);
  const Outcome outcome =
      looked < 0 ? failure(looked, Step::stat) : set_times(level.to, ".", status);
  sys::call(__NR_close, level.from);
  sys::call(__NR_close, level.to);
  return outcome;
}

}  // namespace

Outcome copy_up(Context& context, int from, int to) {
  constexpr int how = O_RDONLY | O_DIRECTORY | O_CLOEXEC;
  const long source = sys::call(__NR_openat, from, ".", how);
  if (source < 0) {
    return failure(source, Step::open);
  }
  const long target = sys::call(__NR_openat, to, ".", how);
  if (target < 0) {
    return failure(target, Step::open);
  }
  depth = 0;
  levels[depth++] = {static_cast<int>(source), static_cast<int>(target)};
  while (depth > 0) {
    bool at_end = false;
    if (const Outcome outcome = copy_entries(context, at_end); outcome.failed()) {
      return outcome;
    }
    if (at_end) {
      if (const Outcome outcome = leave_directory(); outcome.failed()) {
        return outcome;
      }
    }
  }
  return ok;
}

}  // namespace init

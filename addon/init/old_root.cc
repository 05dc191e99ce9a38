// Without pivot_root(2) the old root stays in the mount namespace. Removes what the container must
// not find there: the host's procfs and sysfs.
#include <linux/mount.h>

#include "init.h"
#include "mount_ops.h"

namespace init {
namespace {

constexpr std::size_t longest_line = std::size_t{16} << 10;
constexpr int detach_no_follow = 2 | 8;  // MNT_DETACH | UMOUNT_NOFOLLOW

char line[longest_line];
char root_path[path_max];

// A line of /proc/PID/mountinfo, proc_pid_mountinfo(5):
// "id parent major:minor root mount-point options [optional …] - type source super-options".
struct MountLine {
  char* root = nullptr;
  char* point = nullptr;
  char* type = nullptr;
};

char* next_word(char* at) {
  while (*at != '\0' && *at != ' ') {
    ++at;
  }
  if (*at == ' ') {
    *at++ = '\0';
  }
  return at;
}

MountLine read_line() {
  MountLine result;
  char* at = line;
  for (int field = 0; *at != '\0'; ++field) {
    char* word = at;
    at = next_word(at);
    if (field == 3) {
      result.root = word;
    } else if (field == 4) {
      result.point = word;
    } else if (field > 5 && sys::equal(word, "-")) {
      result.type = at;
      next_word(at);
      break;
    }
  }
  return result;
}

// Decodes the octal escapes of spaces and similar characters.
void unescape(char* text) {
  char* to = text;
  for (const char* from = text; *from != '\0'; ++from) {
    if (from[0] == '\\' && from[1] != '\0' && from[2] != '\0' && from[3] != '\0') {
      *to++ = static_cast<char>((from[1] - '0') * 64 + (from[2] - '0') * 8 + (from[3] - '0'));
      from += 3;
    } else {
      *to++ = *from;
    }
  }
  *to = '\0';
}

bool is_below(const char* path, const char* above) {
  while (*above != '\0' && *path == *above) {
    ++path;
    ++above;
  }
  return *above == '\0' && (*path == '\0' || *path == '/');
}

// Unmounts `point`. It becomes a slave first, so that no mount event reaches the host.
Outcome unmount_or_cover(const char* point) {
  mount_attr attributes{};
  attributes.propagation = ms_slave;
  const long result = sys::call(__NR_mount_setattr, AT_FDCWD, point,
                                AT_RECURSIVE | AT_SYMLINK_NOFOLLOW, &attributes, sizeof attributes);
  if (result == -ENOENT) {
    return ok;  // it was unmounted together with a mount above it
  }
  if (result < 0) {
    return failure(result, Step::mount_setattr);
  }
  const long gone = sys::call(__NR_umount2, point, detach_no_follow);
  if (gone != -EINVAL && gone != -EPERM) {
    return check(gone, Step::umount);
  }
  // The mount is locked in a user namespace: cover it, so that the file system is not fully visible
  // any more.
  return check(sys::call(__NR_mount, "tmpfs", point, "tmpfs", MOUNT_ATTR_RDONLY, 0L), Step::mount);
}

Outcome handle_line() {
  const MountLine mount = read_line();
  if (mount.type == nullptr || !sys::equal(mount.root, "/") ||
      (!sys::equal(mount.type, "proc") && !sys::equal(mount.type, "sysfs"))) {
    return ok;
  }
  unescape(mount.point);
  return is_below(mount.point, root_path) ? ok : unmount_or_cover(mount.point);
}

// Reads the path of the container's root, in the form that mountinfo uses.
long find_root_path(const Context& context) {
  char name[32] = "/proc/self/fd/";
  char digits[12];
  std::size_t count = 0;
  for (int fd = context.root; fd > 0 || count == 0; fd /= 10) {
    digits[count++] = static_cast<char>('0' + fd % 10);
  }
  std::size_t size = sys::length(name);
  while (count > 0) {
    name[size++] = digits[--count];
  }
  const long got = sys::call(__NR_readlinkat, AT_FDCWD, name, root_path, sizeof root_path - 1);
  if (got > 0) {
    root_path[got] = '\0';
  }
  return got;
}

}  // namespace

// A process in a user namespace may mount procfs or sysfs only if one is fully visible in its mount
// namespace (mount_too_revealing()). The container's own mounts are not, because of masked paths;
// the host's are, as chroot(2) does not hide them from this check.
Outcome remove_revealing_mounts(const Context& context) {
  static char buffer[4096];
  const long mountinfo =
      sys::call(__NR_openat, AT_FDCWD, "/proc/self/mountinfo", O_RDONLY | O_CLOEXEC);
  if (mountinfo == -ENOENT) {
    return ok;  // no procfs, so none is visible
  }
  if (mountinfo < 0) {
    return failure(mountinfo, Step::open);
  }
  if (const long result = find_root_path(context); result < 0) {
    return failure(result, Step::readlink);
  }
  std::size_t size = 0;
  for (;;) {
    const long got = sys::call(__NR_read, mountinfo, buffer, sizeof buffer);
    if (got <= 0) {
      sys::call(__NR_close, mountinfo);
      return check(got, Step::read);
    }
    for (long i = 0; i < got; ++i) {
      if (buffer[i] != '\n') {
        // Type and mount point come first; the rest of a long line is not needed.
        if (size + 1 < sizeof line) {
          line[size++] = buffer[i];
        }
        continue;
      }
      line[size] = '\0';
      size = 0;
      if (const Outcome outcome = handle_line(); outcome.failed()) {
        return outcome;
      }
    }
  }
}

}  // namespace init

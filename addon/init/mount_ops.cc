// Ops on mounts that exist, and what the ops that make mounts share: the target, the attributes,
// and how later ops refer to the mount.
#include "mount_ops.h"

#include <linux/magic.h>
#include <linux/stat.h>

#include "file_status.h"

namespace init {

using namespace tare::wire;

namespace {

// Like "mount --bind -o" (mount(8)): clears the flags that are not named. In a user namespace the
// host's flags are locked and stay; only clearing one by name is then refused (EPERM).
long set_named_attributes(int fd, std::uint64_t set, std::uint64_t clear) {
  constexpr std::uint64_t lockable =
      MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC;
  constexpr std::uint64_t free = MOUNT_ATTR_NOSYMFOLLOW;
  const long result = set_attributes(fd, false, set, clear | ((lockable | free) & ~set), 0);
  return result == -EPERM ? set_attributes(fd, false, set, clear | (free & ~set), 0) : result;
}

}  // namespace

Outcome set_all_attributes(int fd, const Op& op) {
  constexpr std::uint64_t apart = MOUNT_ATTR_IDMAP;
  if (op.code == OpCode::bind_device) {
    // The host's /dev may lack these flags, and a device works with both.
    constexpr std::uint64_t flags = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC;
    return check(set_attributes(fd, false, flags, 0, ms_private), Step::mount_setattr);
  }
  if (((op.a & ~apart) | op.b) != 0) {
    const long result = op.code == OpCode::bind ? set_named_attributes(fd, op.a & ~apart, op.b)
                                                : set_attributes(fd, false, op.a, op.b, 0);
    if (result < 0) {
      return failure(result, Step::mount_setattr);
    }
  }
  if (((op.d & ~apart) | op.e) != 0) {
    if (const long result = set_attributes(fd, true, op.d & ~apart, op.e, 0); result < 0) {
      return failure(result, Step::mount_setattr);
    }
  }
  if (op.c != 0) {
    const long result = set_attributes(fd, (op.c & ms_rec) != 0, 0, 0, op.c & ~ms_rec);
    return check(result, Step::mount_setattr);
  }
  return ok;
}

// Opens the target of a mount. A symlink of the image must not redirect proc and sysfs: later
// writes below /proc would go elsewhere.
Outcome open_target(Context& context, const Op& op, bool directory, Handle& target) {
  const char* path = context.text(op, 1);
  if ((op.flags & op_no_symlink) != 0) {
    static char name[256];
    const long parent = open_parent(context, path, name, sizeof name);
    if (parent < 0) {
      return failure(parent, make_step());
    }
    const long made = sys::call(__NR_mkdirat, parent, name, 0755);
    target.reset(
        sys::call(__NR_openat, parent, name, O_PATH | O_NOFOLLOW | O_DIRECTORY | O_CLOEXEC));
    if (target.get() == -ENOTDIR || target.get() == -ELOOP) {
      return {ENOTDIR, Step::not_a_directory};
    }
    if (target.get() == -ENOENT && made < 0) {
      return failure(made, Step::mkdir);
    }
    return target.valid() ? ok : failure(target.get(), Step::open);
  }
  if ((op.flags & op_target_no_follow) != 0) {
    target.reset(open_below(context, path, O_PATH | O_NOFOLLOW));
    if (!target.valid()) {
      return failure(target.get(), Step::openat2);
    }
    const bool in_proc = file_system_magic(target.get()) == PROC_SUPER_MAGIC;
    return in_proc ? Outcome{EPERM, Step::inside_proc} : ok;
  }
  bool followed = true;
  target.reset((op.flags & op_make_target) != 0 ? make_below(context, path, directory, followed)
                                                : open_below(context, path, O_PATH));
  if (!target.valid()) {
    return failure(target.get(), (op.flags & op_make_target) != 0 ? make_step() : Step::openat2);
  }
  // The check of the config for destinations below /proc is by name, which a symlink bypasses.
  if (!followed) {
    return ok;
  }
  // Also refuse a target whose file system is unknown.
  const long magic = file_system_magic(target.get());
  return magic == PROC_SUPER_MAGIC || magic == 0 ? Outcome{EPERM, Step::inside_proc} : ok;
}

void remember(Context& context, const Op& op, Handle& mount) {
  if ((op.flags & op_becomes_root) != 0) {
    const Handle covered(context.root);
    context.root = mount.release();
    return;
  }
  const Handle before(context.mounted);
  context.mounted = mount.release();
}

Outcome attach_and_remember(Context& context, const Op& op, Handle& mount, int target) {
  // A device covers no directory that open_parent() has opened, so the cached one stays valid.
  const long result = op.code == OpCode::bind_device ? move_mount(mount.get(), target)
                                                     : attach(context, mount.get(), target);
  if (result < 0) {
    return failure(result, Step::move_mount);
  }
  if ((op.flags & op_in_proc) != 0) {
    context.proc_mount = mount.release();
  } else if ((op.flags & op_in_sys) != 0) {
    context.sys_mount = mount.release();
  }
  remember(context, op, mount);
  return ok;
}

long open_mounted(const Context& context, const Op& op) {
  const int kept = op.fd >= 0 ? context.kept[op.fd] : 0;
  return kept > 0 ? sys::call(__NR_fcntl, kept, F_DUPFD_CLOEXEC, 0)
                  : open_below(context, context.text(op, 1), O_PATH);
}

Outcome do_keep_mount(Context& context, const Op& op) {
  context.kept[op.a] = context.mounted;
  context.mounted = -1;
  return ok;
}

namespace {

// Reads the mount's number: since Linux 6.8 one that no other mount gets while the machine runs.
long stat_mount(int fd, struct statx& status) {
  constexpr unsigned mount_id_unique = 0x4000;  // STATX_MNT_ID_UNIQUE of newer headers
  return sys::call(__NR_statx, fd, "", AT_EMPTY_PATH, STATX_MNT_ID | mount_id_unique, &status);
}

}  // namespace

Outcome do_report_mount(Context& context, const Op& op) {
  struct statx status{};
  if (const long result = stat_mount(context.mounted, status); result < 0) {
    return failure(result, Step::stat);
  }
  return report_mount(context, op, status.stx_mnt_id);
}

// The container may have replaced the mount or a directory on the way to it, so the mount is
// unmounted by the descriptor that was checked. umount2(2) takes a descriptor only by its name in
// procfs.
Outcome do_unmount(Context& context, const Op& op) {
  const Handle target(open_below(context, context.text(op, 1), O_PATH));
  if (!target.valid()) {
    return failure(target.get(), Step::openat2);
  }
  struct statx status{};
  if (const long result = stat_mount(target.get(), status); result < 0) {
    return failure(result, Step::stat);
  }
  if (status.stx_mnt_id != op.a || (status.stx_attributes & STATX_ATTR_MOUNT_ROOT) == 0) {
    return {0, Step::not_the_mount};
  }
  char name[24] = "self/fd/";
  char* end = name + sys::length(name);
  char digits[12] = {};
  int count = 0;
  for (int rest = target.get(); rest > 0 || count == 0; rest /= 10) {
    digits[count++] = static_cast<char>('0' + rest % 10);
  }
  while (count > 0) {
    *end++ = digits[--count];
  }
  if (const long result = sys::call(__NR_fchdir, context.proc); result < 0) {
    return failure(result, Step::fchdir);
  }
  const long result = sys::call(__NR_umount2, name, 2 /* MNT_DETACH */);
  sys::call(__NR_chdir, "/");
  return check(result, Step::umount);
}

Outcome do_attributes(Context& context, const Op& op) {
  Handle target(open_mounted(context, op));
  if (!target.valid()) {
    return failure(target.get(), Step::openat2);
  }
  return set_all_attributes(target.get(), op);
}

}  // namespace init

// Ops that build the container's mount table with the new mount API, on fds below the root.
#include <linux/magic.h>
#include <linux/mount.h>
#include <linux/openat2.h>
#include <linux/stat.h>

#include "file_status.h"
#include "init.h"
#include "mount_calls.h"

namespace init {
namespace {

using namespace tare::wire;

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

namespace {

// Makes one mount, or all of its tree, id-mapped. The mount must not be attached yet.
Outcome map_ids(const Context& context, int fd, const Op& op) {
  if (op.code != OpCode::bind || ((op.a | op.d) & MOUNT_ATTR_IDMAP) == 0) {
    return ok;
  }
  const bool recursive = (op.d & MOUNT_ATTR_IDMAP) != 0;
  mount_attr attributes{};
  attributes.attr_set = MOUNT_ATTR_IDMAP;
  attributes.userns_fd = static_cast<__u64>(context.passed(static_cast<int>(op.n)));
  return check(sys::run(__NR_mount_setattr, fd, "", AT_EMPTY_PATH | (recursive ? AT_RECURSIVE : 0),
                        &attributes, sizeof attributes),
               Step::mount_setattr);
}

// Reads the file system's own error message from the fsopen(2) fd ("e tmpfs: Bad value for
// 'size'").
void read_complaint(Context& context, int fs) {
  const long got = sys::run(__NR_read, fs, context.detail, sizeof context.detail - 1);
  context.detail[got > 0 ? got : 0] = '\0';
}

Outcome configure(Context& context, int fs, const Op& op, unsigned command) {
  const char* at = context.text(op, 1) + sys::length(context.text(op, 1)) + 1;
  for (std::uint32_t i = 0; i < op.n; ++i) {
    const char* key = at;
    const char* value = key + sys::length(key) + 1;
    at = value + sys::length(value) + 1;
    const bool flag = value[0] == '\0';
    const long result = sys::run(__NR_fsconfig, fs, flag ? FSCONFIG_SET_FLAG : FSCONFIG_SET_STRING,
                                 key, flag ? nullptr : value, 0);
    if (result < 0) {
      read_complaint(context, fs);
      return failure(result, Step::fsconfig);
    }
  }
  const long result = sys::run(__NR_fsconfig, fs, command, 0L, 0L, 0);
  if (result < 0) {
    read_complaint(context, fs);
  }
  return check(result, Step::fsconfig);
}

// Sets "mode=" to the mode of `covered`, as four octal digits: fsconfig(2) takes only strings here.
Outcome inherit_mode(Context& context, int fs, int covered) {
  FileStatus status;
  if (const long result = stat_fd(covered, status); result < 0) {
    return failure(result, Step::stat);
  }
  char digits[5] = {};
  for (unsigned i = 0; i < 4; ++i) {
    digits[i] = static_cast<char>('0' + (status.mode >> (9 - 3 * i) & 7));
  }
  const long result = sys::run(__NR_fsconfig, fs, FSCONFIG_SET_STRING, "mode", digits, 0);
  if (result < 0) {
    read_complaint(context, fs);
  }
  return check(result, Step::fsconfig);
}

// Creates a detached mount of a new file system, to be attached over `covered` (-1: not there yet).
Outcome make_mount(Context& context, const Op& op, int covered, Handle& mount) {
  Handle fs(sys::run(__NR_fsopen, context.text(op, 0), FSOPEN_CLOEXEC));
  if (!fs.valid()) {
    return failure(fs.get(), Step::fsopen);
  }
  if (covered >= 0 && (op.b & mount_inherits_mode) != 0) {
    if (const Outcome outcome = inherit_mode(context, fs.get(), covered); outcome.failed()) {
      return outcome;
    }
  }
  const Outcome configured = configure(context, fs.get(), op, FSCONFIG_CMD_CREATE);
  if (configured.failed()) {
    return configured;
  }
  mount.reset(sys::run(__NR_fsmount, fs.get(), FSMOUNT_CLOEXEC, op.a));
  if (!mount.valid()) {
    const int result = mount.get();
    read_complaint(context, fs.get());
    return failure(result, Step::fsmount);
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
    const long made = sys::run(__NR_mkdirat, parent, name, 0755);
    target.reset(
        sys::run(__NR_openat, parent, name, O_PATH | O_NOFOLLOW | O_DIRECTORY | O_CLOEXEC));
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

// Keeps the descriptor of the mount: later ops refer to the mount by it.
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

// In a new /dev the mount point of a device is missing. This function creates it and attaches by
// name: move_mount(2) does not follow a symlink there. Returns false if the name exists already or
// cannot be created.
bool attach_in_new_place(Context& context, const Op& op, int device, Outcome& outcome) {
  static char name[256];
  const long parent = open_parent(context, context.text(op, 1), name, sizeof name);
  if (parent < 0 || sys::run(__NR_mknodat, parent, name, S_IFREG | 0644, 0) < 0) {
    return false;
  }
  outcome = check(sys::run(__NR_move_mount, device, "", parent, name, MOVE_MOUNT_F_EMPTY_PATH),
                  Step::move_mount);
  return true;
}

// Opens the kept mount that the op refers to, or else the op's path.
long open_mounted(const Context& context, const Op& op) {
  const int kept = op.fd >= 0 ? context.kept[op.fd] : 0;
  return kept > 0 ? sys::run(__NR_fcntl, kept, F_DUPFD_CLOEXEC, 0)
                  : open_below(context, context.text(op, 1), O_PATH);
}

// Labels the root of a file system that has no option "context".
Outcome label_root(const Context& context, int mount, const Op& op) {
  Handle root(sys::run(__NR_openat, mount, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!root.valid()) {
    return failure(root.get(), Step::open);
  }
  const char* label = context.strings + op.d;
  return check(
      sys::run(__NR_fsetxattr, root.get(), "security.selinux", label, sys::length(label), 0),
      Step::fsetxattr);
}

// Reads through a clone of the tree in which no device can be opened (nodev): opening a device has
// side effects, and another process may put one in place of a file that was checked.
Outcome copy_covered(Context& context, int covered, int mount) {
  Handle view(clone_tree(covered, true));
  if (!view.valid()) {
    return failure(view.get(), Step::open_tree);
  }
  if (const long result = set_attributes(view.get(), true, MOUNT_ATTR_NODEV, 0, 0); result < 0) {
    return failure(result, Step::mount_setattr);
  }
  return copy_up(context, view.get(), mount);
}

}  // namespace

Outcome do_mount_fs(Context& context, const Op& op) {
  context.gave_up = false;
  Handle covered;
  if (op.b != 0) {
    covered.reset(open_below(context, context.text(op, 1), O_PATH));
    if (!covered.valid() && covered.get() != -ENOENT && covered.get() != -ENOTDIR) {
      return failure(covered.get(), Step::openat2);
    }
  }
  Handle mount;
  const Outcome made = make_mount(context, op, covered.get(), mount);
  if (made.failed()) {
    if ((op.flags & op_fall_back) != 0 && (made.errnum == EPERM || made.errnum == EBUSY)) {
      context.gave_up = true;
      context.detail[0] = '\0';
      return ok;
    }
    return made;
  }
  if (op.d != 0) {
    if (const Outcome outcome = label_root(context, mount.get(), op); outcome.failed()) {
      return outcome;
    }
  }
  if (covered.valid() && (op.b & mount_copies_up) != 0) {
    const Outcome copied = copy_covered(context, covered.get(), mount.get());
    if (copied.failed()) {
      return copied;
    }
  }
  Handle target;
  if (const Outcome outcome = open_target(context, op, true, target); outcome.failed()) {
    return outcome;
  }
  if (op.c != 0) {
    const long result = set_attributes(mount.get(), (op.c & ms_rec) != 0, 0, 0, op.c & ~ms_rec);
    if (result < 0) {
      return failure(result, Step::mount_setattr);
    }
  }
  return attach_and_remember(context, op, mount, target.get());
}

// fsconfig(2) takes at most 255 bytes per value, mount(2) a page for all. mount(2) takes a path:
// "." is the one that refers to a descriptor, by fchdir(2).
Outcome do_mount_data(Context& context, const Op& op) {
  Handle target;
  if (const Outcome outcome = open_target(context, op, true, target); outcome.failed()) {
    return outcome;
  }
  const char* source = context.text(op, 1) + sys::length(context.text(op, 1)) + 1;
  const char* data = source + sys::length(source) + 1;
  Handle before(sys::run(__NR_openat, AT_FDCWD, ".", O_PATH | O_CLOEXEC));
  if (const long result = sys::run(__NR_fchdir, target.get()); result < 0) {
    return failure(result, Step::fchdir);
  }
  const long mounted = sys::run(__NR_mount, source, ".", context.text(op, 0), 0L, data);
  if (before.valid()) {
    sys::run(__NR_fchdir, before.get());
  }
  if (mounted < 0) {
    return failure(mounted, Step::mount);
  }
  forget_parent(context);
  Handle mount(open_covering(target.get()));
  if (!mount.valid()) {
    return failure(mount.get(), Step::openat2);
  }
  const Outcome outcome = set_all_attributes(mount.get(), op);
  remember(context, op, mount);
  return outcome;
}

void do_keep(Context& context, const Op& op) {
  context.kept[op.a] = context.mounted;
  context.mounted = -1;
}

Outcome do_reconfigure(Context& context, const Op& op) {
  Handle target(open_mounted(context, op));
  if (!target.valid()) {
    return failure(target.get(), Step::openat2);
  }
  Handle fs(sys::run(__NR_fspick, target.get(), "", FSPICK_CLOEXEC | FSPICK_EMPTY_PATH));
  if (!fs.valid()) {
    return failure(fs.get(), Step::fspick);
  }
  return configure(context, fs.get(), op, FSCONFIG_CMD_RECONFIGURE);
}

namespace {

// Opens the source by its host path, as src-no-symlinks and src-within restrict it. `step` is the
// system call that returned the result.
long open_host_source(const Context& context, const Op& op, Step& step) {
  const char* path = context.text(op, 0);
  const bool recursive = (op.flags & op_recursive) != 0;
  const std::uint64_t no_follow = (op.flags & op_no_follow) != 0 ? O_NOFOLLOW : 0;
  step = Step::open_tree;
  if ((op.flags & (op_source_no_symlinks | op_source_beneath)) == 0) {
    return sys::run(__NR_open_tree, AT_FDCWD, path,
                    OPEN_TREE_CLONE | static_cast<unsigned>(OPEN_TREE_CLOEXEC) |
                        (recursive ? static_cast<unsigned>(AT_RECURSIVE) : 0U) |
                        (no_follow != 0 ? static_cast<unsigned>(AT_SYMLINK_NOFOLLOW) : 0U));
  }
  std::uint64_t resolve = RESOLVE_NO_MAGICLINKS;
  Handle within(AT_FDCWD);
  if ((op.flags & op_source_beneath) != 0) {
    resolve |= RESOLVE_BENEATH;
    within.reset(sys::run(__NR_openat, AT_FDCWD, path + sys::length(path) + 1,
                          O_PATH | O_DIRECTORY | O_CLOEXEC));
    if (!within.valid()) {
      step = Step::open_source;
      return within.get();
    }
  }
  if ((op.flags & op_source_no_symlinks) != 0) {
    resolve |= RESOLVE_NO_SYMLINKS;
  }
  Handle source(openat2(within.get(), path, O_PATH | no_follow, resolve));
  if (!source.valid()) {
    step = Step::open_source;
    return source.get();
  }
  return clone_tree(source.get(), recursive);
}

Outcome open_source(Context& context, const Op& op, Handle& tree) {
  const bool sent = (op.flags & op_source_is_fd) != 0;
  Step step = Step::open_tree;
  if (!sent || context.to_fetch != 0) {
    tree.reset(open_host_source(context, op, step));
  }
  if (sent && !tree.valid()) {
    if (const Outcome outcome = fetch_if_not_yet(context); outcome.failed()) {
      return outcome;
    }
    tree.reset(take_source(context, op));
  }
  return tree.valid() ? ok : failure(tree.get(), step);
}

}  // namespace

Outcome do_open_source(Context& context, const Op& op) {
  Step step = Step::open_tree;
  const long tree = open_host_source(context, op, step);
  if (tree < 0) {
    return failure(tree, step);
  }
  context.fetched[op.a] = static_cast<int>(tree);
  return ok;
}

Outcome do_bind(Context& context, const Op& op) {
  if ((op.flags & op_on_fall_back) != 0 && !context.gave_up) {
    return ok;
  }
  Handle tree;
  if (const Outcome outcome = open_source(context, op, tree); outcome.failed()) {
    return outcome;
  }
  FileStatus status;
  if (const long result = stat_fd(tree.get(), status); result < 0) {
    return failure(result, Step::stat);
  }
  if (op.code == OpCode::bind_device &&
      ((status.mode & S_IFMT) != op.a || device_number(status) != op.b)) {
    return {ENODEV, Step::not_a_device};
  }
  if ((op.flags & op_no_symlink) != 0 && file_system_magic(tree.get()) != PROC_SUPER_MAGIC) {
    return {ENODEV, Step::not_procfs};
  }
  if (const Outcome outcome = map_ids(context, tree.get(), op); outcome.failed()) {
    return outcome;
  }
  if (const Outcome outcome = set_all_attributes(tree.get(), op); outcome.failed()) {
    return outcome;
  }
  Outcome attached;
  if (op.code == OpCode::bind_device && attach_in_new_place(context, op, tree.get(), attached)) {
    remember(context, op, tree);
    return attached;
  }
  Handle target;
  const Outcome opened = open_target(context, op, (status.mode & S_IFMT) == S_IFDIR, target);
  if (opened.failed()) {
    return opened;
  }
  return attach_and_remember(context, op, tree, target.get());
}

namespace {

// Reads the mount's number: since Linux 6.8 one that no other mount gets while the machine runs.
long stat_mount(int fd, struct statx& status) {
  constexpr unsigned mount_id_unique = 0x4000;  // STATX_MNT_ID_UNIQUE of newer headers
  return sys::run(__NR_statx, fd, "", AT_EMPTY_PATH, STATX_MNT_ID | mount_id_unique, &status);
}

}  // namespace

Outcome do_tell_mount(const Context& context, std::uint32_t index) {
  struct statx status{};
  if (const long result = stat_mount(context.mounted, status); result < 0) {
    return failure(result, Step::stat);
  }
  return tell_of_mount(context, index, status.stx_mnt_id);
}

// The container may have replaced the mount or a directory on the way to it, so the mount is
// unmounted by the descriptor that was checked. umount2(2) takes a descriptor only by its name in
// procfs.
Outcome do_unmount(const Context& context, const Op& op) {
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
  if (const long result = sys::run(__NR_fchdir, context.proc); result < 0) {
    return failure(result, Step::fchdir);
  }
  const long result = sys::run(__NR_umount2, name, 2 /* MNT_DETACH */);
  sys::run(__NR_chdir, "/");
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

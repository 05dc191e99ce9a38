// Ops that mount a new file system, or change its options, with the new mount API.
#include <linux/mount.h>
#include <linux/stat.h>

#include "file_status.h"
#include "mount_ops.h"

namespace init {

using namespace tare::wire;

namespace {

// Reads the file system's own error message from the fsopen(2) fd ("e tmpfs: Bad value for
// 'size'").
void read_complaint(Context& context, int fs) {
  const long got = sys::call(__NR_read, fs, context.detail, sizeof context.detail - 1);
  context.detail[got > 0 ? got : 0] = '\0';
}

Outcome configure(Context& context, int fs, const Op& op, unsigned command) {
  const char* at = context.text(op, 1) + sys::length(context.text(op, 1)) + 1;
  for (std::uint32_t i = 0; i < op.n; ++i) {
    const char* key = at;
    const char* value = key + sys::length(key) + 1;
    at = value + sys::length(value) + 1;
    const bool flag = value[0] == '\0';
    const long result = sys::call(__NR_fsconfig, fs, flag ? FSCONFIG_SET_FLAG : FSCONFIG_SET_STRING,
                                  key, flag ? nullptr : value, 0);
    if (result < 0) {
      read_complaint(context, fs);
      return failure(result, Step::fsconfig);
    }
  }
  const long result = sys::call(__NR_fsconfig, fs, command, 0L, 0L, 0);
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
  const long result = sys::call(__NR_fsconfig, fs, FSCONFIG_SET_STRING, "mode", digits, 0);
  if (result < 0) {
    read_complaint(context, fs);
  }
  return check(result, Step::fsconfig);
}

// Creates a detached mount of a new file system, to be attached over `covered` (-1: not there yet).
Outcome make_mount(Context& context, const Op& op, int covered, Handle& mount) {
  Handle fs(sys::call(__NR_fsopen, context.text(op, 0), FSOPEN_CLOEXEC));
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
  mount.reset(sys::call(__NR_fsmount, fs.get(), FSMOUNT_CLOEXEC, op.a));
  if (!mount.valid()) {
    const int result = mount.get();
    read_complaint(context, fs.get());
    return failure(result, Step::fsmount);
  }
  return ok;
}

// Labels the root of a file system that has no option "context".
Outcome label_root(const Context& context, int mount, const Op& op) {
  Handle root(sys::call(__NR_openat, mount, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!root.valid()) {
    return failure(root.get(), Step::open);
  }
  const char* label = context.strings + op.d;
  return check(
      sys::call(__NR_fsetxattr, root.get(), "security.selinux", label, sys::length(label), 0),
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
  Handle before(sys::call(__NR_openat, AT_FDCWD, ".", O_PATH | O_CLOEXEC));
  if (const long result = sys::call(__NR_fchdir, target.get()); result < 0) {
    return failure(result, Step::fchdir);
  }
  const long mounted = sys::call(__NR_mount, source, ".", context.text(op, 0), 0L, data);
  if (before.valid()) {
    sys::call(__NR_fchdir, before.get());
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

Outcome do_reconfigure(Context& context, const Op& op) {
  Handle target(open_mounted(context, op));
  if (!target.valid()) {
    return failure(target.get(), Step::openat2);
  }
  Handle fs(sys::call(__NR_fspick, target.get(), "", FSPICK_CLOEXEC | FSPICK_EMPTY_PATH));
  if (!fs.valid()) {
    return failure(fs.get(), Step::fspick);
  }
  return configure(context, fs.get(), op, FSCONFIG_CMD_RECONFIGURE);
}

}  // namespace init

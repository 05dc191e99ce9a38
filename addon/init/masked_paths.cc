// Ops for masked and read-only paths.
#include <linux/magic.h>
#include <linux/mount.h>
#include <linux/stat.h>

#include "file_status.h"
#include "init.h"
#include "mount_ops.h"

namespace init {

using namespace tare::wire;

namespace {

Outcome mask_directory(Context& context, int target) {
  if (context.empty_dir >= 0) {
    Handle again(clone_tree(context.empty_dir, false));
    if (!again.valid()) {
      return failure(again.get(), Step::open_tree);
    }
    return check(attach(context, again.get(), target), Step::move_mount);
  }
  Handle fs(sys::call(__NR_fsopen, "tmpfs", FSOPEN_CLOEXEC));
  if (!fs.valid()) {
    return failure(fs.get(), Step::fsopen);
  }
  // Nothing is ever written to the tmpfs: one inode and one page are enough.
  long made = sys::call(__NR_fsconfig, fs.get(), FSCONFIG_SET_STRING, "nr_blocks", "1", 0);
  if (made >= 0) {
    made = sys::call(__NR_fsconfig, fs.get(), FSCONFIG_SET_STRING, "nr_inodes", "1", 0);
  }
  if (made >= 0) {
    made = sys::call(__NR_fsconfig, fs.get(), FSCONFIG_CMD_CREATE, 0L, 0L, 0);
  }
  if (made < 0) {
    return failure(made, Step::fsconfig);
  }
  Handle mount(
      sys::call(__NR_fsmount, fs.get(), FSMOUNT_CLOEXEC,
                MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC));
  if (!mount.valid()) {
    return failure(mount.get(), Step::fsmount);
  }
  if (const long result = attach(context, mount.get(), target); result < 0) {
    return failure(result, Step::move_mount);
  }
  context.empty_dir = mount.release();
  return ok;
}

Outcome mask_file(Context& context, int target) {
  if (const Outcome outcome = open_null(context); outcome.failed()) {
    return outcome;
  }
  Handle null(clone_tree(context.null, false));
  if (!null.valid()) {
    return failure(null.get(), Step::open_tree);
  }
  return check(attach(context, null.get(), target), Step::move_mount);
}

}  // namespace

Outcome do_mask(Context& context, const Op& op) {
  Handle target(open_masked(context, op));
  if (target.get() == -ENOENT) {
    return ok;
  }
  if (!target.valid()) {
    return failure(target.get(), Step::openat2);
  }
  FileStatus status;
  if (const long result = stat_fd(target.get(), status); result < 0) {
    return failure(result, Step::stat);
  }
  return (status.mode & S_IFMT) == S_IFDIR ? mask_directory(context, target.get())
                                           : mask_file(context, target.get());
}

Outcome do_read_only(Context& context, const Op& op) {
  Handle target(open_masked(context, op));
  if (target.get() == -ENOENT) {
    return ok;
  }
  if (!target.valid()) {
    return failure(target.get(), Step::openat2);
  }
  Handle tree(clone_tree(target.get(), true));
  if (!tree.valid()) {
    return failure(tree.get(), Step::open_tree);
  }
  if (const long result = set_attributes(tree.get(), true, MOUNT_ATTR_RDONLY, 0, 0); result < 0) {
    return failure(result, Step::mount_setattr);
  }
  return check(attach(context, tree.get(), target.get()), Step::move_mount);
}

}  // namespace init

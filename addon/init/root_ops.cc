// Ops that set up the container's root and make it the root of this process.
#include <linux/magic.h>
#include <linux/mount.h>
#include <linux/stat.h>

#include "file_status.h"
#include "init.h"
#include "mount_ops.h"

namespace init {

using namespace tare::wire;

Outcome do_propagation(Context& /*context*/, const Op& op) {
  mount_attr attributes{};
  attributes.propagation = op.a;
  return check(
      sys::call(__NR_mount_setattr, AT_FDCWD, "/", AT_RECURSIVE, &attributes, sizeof attributes),
      Step::mount_setattr);
}

namespace {

// pivot_root(2) refuses a new root whose parent mount is shared. The parent's own root is found by
// walking up until the mount changes.
Outcome make_parent_private(int inside) {
  Handle at(sys::call(__NR_openat, inside, ".", O_PATH | O_CLOEXEC));
  FileStatus status;
  if (const long result = stat_fd(at.get(), status); result < 0) {
    return failure(result, Step::stat);
  }
  for (;;) {
    Handle above(sys::call(__NR_openat, at.get(), "..", O_PATH | O_CLOEXEC));
    FileStatus upper;
    if (const long result = stat_fd(above.get(), upper); result < 0) {
      return failure(result, Step::stat);
    }
    if (upper.mount_id != status.mount_id || upper.inode == status.inode) {
      break;
    }
    status = upper;
    at.reset(above.release());
  }
  return check(set_attributes(at.get(), false, 0, 0, ms_private), Step::mount_setattr);
}

}  // namespace

Outcome do_root(Context& context, const Op& op) {
  if (op.fd >= 0) {
    context.root = context.passed(op.fd);  // op_open_only
    return ok;
  }
  // The host sends the root if root of the user namespace may be unable to walk to it.
  const bool sent = op.n > 0;
  Handle target;
  Handle tree;
  if (!sent || context.postponed_request != nullptr) {
    target.reset(
        sys::call(__NR_openat, AT_FDCWD, context.text(op, 0), O_PATH | O_DIRECTORY | O_CLOEXEC));
    if (target.valid() && (op.flags & op_open_only) == 0) {
      tree.reset(clone_tree(target.get(), true));
    }
  }
  const bool open_only = (op.flags & op_open_only) != 0;
  if (sent && !(open_only ? target : tree).valid()) {
    if (const Outcome outcome = request_if_postponed(context); outcome.failed()) {
      return outcome;
    }
    target.reset(context.requested[op.n - 1]);
    if (!open_only) {
      tree.reset(take_source(context, op));
    }
  }
  if (!target.valid()) {
    return failure(target.get(), Step::open);
  }
  if (open_only) {
    context.root = target.release();
    return ok;
  }
  if (!tree.valid()) {
    return failure(tree.get(), Step::open_tree);
  }
  if (const Outcome outcome = set_all_attributes(tree.get(), op); outcome.failed()) {
    return outcome;
  }
  if ((op.flags & op_private_parent) != 0) {
    if (const Outcome outcome = make_parent_private(target.get()); outcome.failed()) {
      return outcome;
    }
  }
  if (const long result = attach(context, tree.get(), target.get()); result < 0) {
    return failure(result, Step::move_mount);
  }
  context.root = tree.release();
  return ok;
}

Outcome do_root_here(Context& context, const Op& /*op*/) {
  const long fd = sys::call(__NR_openat, AT_FDCWD, "/", O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) {
    return failure(fd, Step::open);
  }
  context.root = static_cast<int>(fd);
  return ok;
}

namespace {

// In a chroot "/" is not the root of the mount namespace: pivot_root(2) would leave the machine's
// root there, for setns(2) to lead to. Joining its own mount namespace moves a process to the
// namespace's root.
Outcome enter_namespace_root(const Op& op) {
  constexpr unsigned long clone_newns = 0x00020000;
  const long self = op.a != 0 ? static_cast<long>(op.a) : sys::call(__NR_getpid);
  Handle pidfd(sys::call(__NR_pidfd_open, self, 0));
  if (!pidfd.valid()) {
    return failure(pidfd.get(), Step::pidfd_open);
  }
  return check(sys::call(__NR_setns, pidfd.get(), clone_newns), Step::setns);
}

// setns(2) goes up to the topmost mount on the namespace's root. If that is the container's root
// already, because it was mounted on "/" outside of any chroot, pivot_root(2) needs the mount below
// it, `before`, as the process's root.
Outcome return_below_root(const Context& context, int before) {
  FileStatus own;
  FileStatus here;
  Handle topmost(sys::call(__NR_openat, AT_FDCWD, "/", O_PATH | O_DIRECTORY | O_CLOEXEC));
  long result = stat_fd(topmost.get(), here);
  if (result >= 0) {
    result = stat_fd(context.root, own);
  }
  if (result < 0) {
    return failure(result, Step::stat);
  }
  if (own.mount_id != here.mount_id) {
    return ok;
  }
  if (const long entered = sys::call(__NR_fchdir, before); entered < 0) {
    return failure(entered, Step::fchdir);
  }
  return check(sys::call(__NR_chroot, "."), Step::chroot);
}

}  // namespace

Outcome do_pivot_root(Context& context, const Op& op) {
  const bool covers = (op.flags & op_covers_old_root) != 0;
  Handle before(covers ? sys::call(__NR_openat, AT_FDCWD, "/", O_PATH | O_DIRECTORY | O_CLOEXEC)
                       : -1);
  if (const Outcome outcome = enter_namespace_root(op); outcome.failed()) {
    return outcome;
  }
  if (covers) {
    if (const Outcome outcome = return_below_root(context, before.get()); outcome.failed()) {
      return outcome;
    }
  }
  Handle old((op.flags & op_old_root_is_shared) != 0
                 ? sys::call(__NR_openat, AT_FDCWD, "/", O_PATH | O_DIRECTORY | O_CLOEXEC)
                 : -1);
  if (const long result = sys::call(__NR_fchdir, context.root); result < 0) {
    return failure(result, Step::fchdir);
  }
  if (const long result = sys::call(__NR_pivot_root, ".", "."); result < 0) {
    return failure(result, Step::pivot_root);
  }
  if (old.valid()) {
    if (const long result = set_attributes(old.get(), true, 0, 0, ms_slave); result < 0) {
      return failure(result, Step::mount_setattr);
    }
    old.close();
  }
  // The old root lies on top of the new one now, and "." leads up to it; see pivot_root(2).
  if (const long result = sys::call(__NR_umount2, ".", 2 /* MNT_DETACH */); result < 0) {
    return failure(result, Step::umount);
  }
  return check(sys::call(__NR_chdir, "/"), Step::chdir);
}

Outcome do_move_root(Context& context, const Op& op) {
  if (const Outcome outcome = remove_revealing_mounts(context); outcome.failed()) {
    return outcome;
  }
  if (const long result = sys::call(__NR_fchdir, context.root); result < 0) {
    return failure(result, Step::fchdir);
  }
  constexpr unsigned long ms_move = 8192;
  if (const long result = sys::call(__NR_mount, ".", "/", 0L, ms_move, 0L); result < 0) {
    return failure(result, Step::mount);
  }
  return do_chroot(context, op);
}

Outcome do_chroot(Context& context, const Op& /*op*/) {
  if (const long result = sys::call(__NR_fchdir, context.root); result < 0) {
    return failure(result, Step::fchdir);
  }
  if (const long result = sys::call(__NR_chroot, "."); result < 0) {
    return failure(result, Step::chroot);
  }
  return check(sys::call(__NR_chdir, "/"), Step::chdir);
}

Outcome do_open_proc(Context& context, const Op& /*op*/) {
  Handle fs(sys::call(__NR_fsopen, "proc", FSOPEN_CLOEXEC));
  if (fs.valid() && sys::call(__NR_fsconfig, fs.get(), FSCONFIG_CMD_CREATE, 0L, 0L, 0) >= 0) {
    const long mount = sys::call(__NR_fsmount, fs.get(), FSMOUNT_CLOEXEC, 0);
    if (mount >= 0) {
      context.proc = static_cast<int>(mount);
      return ok;
    }
  }
  // A user namespace without a pid namespace of its own may not mount a new procfs. The host's
  // /proc, if it is a procfs, serves as well: in this mount namespace nothing of the container has
  // been mounted over it yet.
  Handle host(sys::call(__NR_openat, AT_FDCWD, "/proc", O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!host.valid()) {
    return failure(host.get(), Step::open);
  }
  if (file_system_magic(host.get()) != PROC_SUPER_MAGIC) {
    return {ENODEV, Step::not_procfs};
  }
  context.proc = host.release();
  return ok;
}

}  // namespace init

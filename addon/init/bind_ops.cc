// Bind mounts: where their sources come from, and how they are attached.
#include <linux/magic.h>
#include <linux/mount.h>
#include <linux/openat2.h>
#include <linux/stat.h>

#include "file_status.h"
#include "mount_ops.h"

namespace init {

using namespace tare::wire;

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
  return check(sys::call(__NR_mount_setattr, fd, "", AT_EMPTY_PATH | (recursive ? AT_RECURSIVE : 0),
                         &attributes, sizeof attributes),
               Step::mount_setattr);
}

// In a new /dev the mount point of a device is missing. This function creates it and attaches by
// name: move_mount(2) does not follow a symlink there. Returns false if the name exists already or
// cannot be created.
bool attach_by_name(Context& context, const Op& op, int device, Outcome& outcome) {
  static char name[256];
  const long parent = open_parent(context, context.text(op, 1), name, sizeof name);
  if (parent < 0 || sys::call(__NR_mknodat, parent, name, S_IFREG | 0644, 0) < 0) {
    return false;
  }
  outcome = check(sys::call(__NR_move_mount, device, "", parent, name, MOVE_MOUNT_F_EMPTY_PATH),
                  Step::move_mount);
  return true;
}

// Opens the source by its host path, as src-no-symlinks and src-within restrict it. `step` is the
// system call that returned the result.
long open_host_source(const Context& context, const Op& op, Step& step) {
  const char* path = context.text(op, 0);
  const bool recursive = (op.flags & op_recursive) != 0;
  const std::uint64_t no_follow = (op.flags & op_no_follow) != 0 ? O_NOFOLLOW : 0;
  step = Step::open_tree;
  if ((op.flags & (op_source_no_symlinks | op_source_beneath)) == 0) {
    return sys::call(__NR_open_tree, AT_FDCWD, path,
                     OPEN_TREE_CLONE | static_cast<unsigned>(OPEN_TREE_CLOEXEC) |
                         (recursive ? static_cast<unsigned>(AT_RECURSIVE) : 0U) |
                         (no_follow != 0 ? static_cast<unsigned>(AT_SYMLINK_NOFOLLOW) : 0U));
  }
  std::uint64_t resolve = RESOLVE_NO_MAGICLINKS;
  Handle within(AT_FDCWD);
  if ((op.flags & op_source_beneath) != 0) {
    resolve |= RESOLVE_BENEATH;
    within.reset(sys::call(__NR_openat, AT_FDCWD, path + sys::length(path) + 1,
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
  if (!sent || context.postponed_request != nullptr) {
    tree.reset(open_host_source(context, op, step));
  }
  if (sent && !tree.valid()) {
    if (const Outcome outcome = request_if_postponed(context); outcome.failed()) {
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
  context.requested[op.a] = static_cast<int>(tree);
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
  if (op.code == OpCode::bind_device && attach_by_name(context, op, tree.get(), attached)) {
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

Outcome do_bind_device(Context& context, const Op& op) { return do_bind(context, op); }

}  // namespace init

// Ops that populate /dev: nodes, links, the pty. All paths are relative to fds below the root, and
// symlinks found there are not followed.
#include <asm/ioctls.h>
#include <asm/termios.h>
#include <linux/magic.h>
#include <linux/mount.h>

#include "file_status.h"
#include "init.h"

namespace init {
namespace {

using namespace tare::wire;

constexpr unsigned tty_major = 5;
constexpr unsigned ptmx_minor = 2;
constexpr std::uint64_t devpts_ptmx_inode = 2;

char name_buffer[256];

// Opens the directory of a node to be made, and puts the node's name into name_buffer.
Outcome parent_of(Context& context, const Op& op, long& parent) {
  parent = open_parent(context, context.text(op, 1), name_buffer, sizeof name_buffer);
  return check(parent, make_step());
}

}  // namespace

Outcome do_make_directory(Context& context, const Op& op) {
  // In a new root the directory is missing, and has the same parent as that of the previous op.
  const long parent = open_parent(context, context.text(op, 1), name_buffer, sizeof name_buffer);
  if (parent >= 0 && sys::call(__NR_mkdirat, parent, name_buffer, 0755) >= 0) {
    return ok;
  }
  Handle made(make_below(context, context.text(op, 1), true));
  return made.valid() ? ok : failure(made.get(), make_step());
}

Outcome do_make_device(Context& context, const Op& op) {
  long parent = -1;
  if (const Outcome outcome = parent_of(context, op, parent); outcome.failed()) {
    return outcome;
  }
  long result = sys::call(__NR_mknodat, parent, name_buffer, op.a, op.b);
  if (result < 0 && result != -EEXIST) {
    return failure(result, Step::mknod);
  }
  if (result >= 0 && op.c == 0) {
    return ok;
  }
  // The node comes from the image or from a mount: only the same device is acceptable. The owner is
  // changed on the descriptor that was checked, as the name may lead to another file by now.
  Handle node(sys::call(__NR_openat, parent, name_buffer, O_PATH | O_NOFOLLOW | O_CLOEXEC));
  FileStatus status;
  result = node.valid() ? stat_fd(node.get(), status) : node.get();
  if (result < 0) {
    return failure(result, Step::stat);
  }
  if ((status.mode & S_IFMT) != (op.a & S_IFMT) ||
      ((op.a & S_IFMT) != S_IFIFO && device_number(status) != op.b)) {
    return {EEXIST, Step::not_a_device};
  }
  if (op.c != 0) {
    result = sys::call(__NR_fchownat, node.get(), "", op.c >> 32, op.c & 0xffffffff, AT_EMPTY_PATH);
  }
  return check(result, Step::chown);
}

Outcome do_make_symlink(Context& context, const Op& op) {
  long parent = -1;
  if (const Outcome outcome = parent_of(context, op, parent); outcome.failed()) {
    return outcome;
  }
  const char* target = context.text(op, 0);
  const long result = sys::call(__NR_symlinkat, target, parent, name_buffer);
  if (result != -EEXIST || (op.flags & op_same_link) == 0) {
    return result == -EEXIST ? ok : check(result, Step::symlink);
  }
  static char found[path_max];
  const long size = sys::call(__NR_readlinkat, parent, name_buffer, found, sizeof found);
  const bool same = size == static_cast<long>(sys::length(target)) &&
                    memcmp(found, target, static_cast<std::size_t>(size)) == 0;
  return same ? ok : failure(result, Step::symlink);
}

Outcome do_make_file(Context& context, const Op& op) {
  long parent = -1;
  if (const Outcome outcome = parent_of(context, op, parent); outcome.failed()) {
    return outcome;
  }
  Handle file(sys::call(__NR_openat, parent, name_buffer,
                        O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644));
  if (!file.valid()) {
    return failure(file.get(), Step::open);
  }
  for (std::uint32_t done = 0; done < op.n;) {
    const long written = sys::call(__NR_write, file.get(), context.text(op, 0) + done, op.n - done);
    if (written < 0 && written != -EINTR) {
      return failure(written, Step::write);
    }
    done += written > 0 ? static_cast<std::uint32_t>(written) : 0;
  }
  // A mount that has a file open for writing cannot become read-only.
  file.close();
  return ok;
}

Outcome do_make_ptmx(Context& context, const Op& op) {
  long parent = -1;
  if (const Outcome outcome = parent_of(context, op, parent); outcome.failed()) {
    return outcome;
  }
  const long result = sys::call(__NR_unlinkat, parent, name_buffer, 0);
  if (result < 0 && result != -ENOENT) {
    return failure(result, Step::unlink);
  }
  return check(sys::call(__NR_symlinkat, "pts/ptmx", parent, name_buffer), Step::symlink);
}

// A masked file is covered by the container's /dev/null. This must be the null device itself:
// otherwise the mask would show what the image put there.
Outcome open_null(Context& context) {
  if (context.null >= 0) {
    return ok;
  }
  Handle dev(open_below(context, "/dev", O_PATH | O_DIRECTORY));
  if (!dev.valid()) {
    return failure(dev.get(), Step::openat2);
  }
  Handle null(sys::call(__NR_openat, dev.get(), "null", O_PATH | O_NOFOLLOW | O_CLOEXEC));
  if (!null.valid()) {
    return failure(null.get(), Step::open);
  }
  FileStatus status;
  if (const long result = stat_fd(null.get(), status); result < 0) {
    return failure(result, Step::stat);
  }
  if (!is_null_device(status)) {
    return {ENODEV, Step::not_a_device};
  }
  context.null = null.release();
  return ok;
}

namespace {

Outcome open_pty(Context& context, const Op& op, Handle& master, Handle& slave) {
  // Opening a device can have side effects, so the file system is checked first: a devpts holds no
  // devices but its own.
  Handle devpts(open_below(context, context.text(op, 1), O_PATH | O_DIRECTORY));
  if (!devpts.valid()) {
    return failure(devpts.get(), Step::openat2);
  }
  if (file_system_magic(devpts.get()) != DEVPTS_SUPER_MAGIC) {
    return {ENODEV, Step::not_a_device};
  }
  master.reset(
      sys::call(__NR_openat, devpts.get(), "ptmx", O_RDWR | O_NOCTTY | O_NOFOLLOW | O_CLOEXEC));
  if (!master.valid()) {
    return failure(master.get(), Step::open);
  }
  FileStatus status;
  if (const long result = stat_fd(master.get(), status); result < 0) {
    return failure(result, Step::stat);
  }
  if (file_system_magic(master.get()) != DEVPTS_SUPER_MAGIC || status.inode != devpts_ptmx_inode ||
      status.major != tty_major || status.minor != ptmx_minor) {
    return {ENODEV, Step::not_a_device};
  }
  int unlock = 0;
  if (const long result = sys::call(__NR_ioctl, master.get(), TIOCSPTLCK, &unlock); result < 0) {
    return failure(result, Step::ioctl);
  }
  slave.reset(sys::call(__NR_ioctl, master.get(), TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC));
  return slave.valid() ? ok : failure(slave.get(), Step::ioctl);
}

Outcome bind_console(Context& context, int slave) {
  Handle dev(make_below(context, "/dev", true));
  if (!dev.valid()) {
    return failure(dev.get(), Step::openat2);
  }
  const long made = sys::call(__NR_mknodat, dev.get(), "console", S_IFREG | 0600, 0);
  if (made < 0 && made != -EEXIST) {
    return failure(made, Step::mknod);
  }
  Handle target(sys::call(__NR_openat, dev.get(), "console", O_PATH | O_NOFOLLOW | O_CLOEXEC));
  FileStatus status;
  if (const long result = target.valid() ? stat_fd(target.get(), status) : target.get();
      result < 0) {
    return failure(result, Step::stat);
  }
  if ((status.mode & S_IFMT) != S_IFREG && (status.mode & S_IFMT) != S_IFCHR) {
    return {ENODEV, Step::not_a_device};
  }
  Handle tree(sys::call(__NR_open_tree, slave, "",
                        static_cast<unsigned>(AT_EMPTY_PATH) | OPEN_TREE_CLONE |
                            static_cast<unsigned>(OPEN_TREE_CLOEXEC)));
  if (!tree.valid()) {
    return failure(tree.get(), Step::open_tree);
  }
  return check(sys::call(__NR_move_mount, tree.get(), "", target.get(), "",
                         MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH),
               Step::move_mount);
}

}  // namespace

Outcome do_console(Context& context, const Op& op) {
  Handle master;
  Handle slave;
  if (const Outcome outcome = open_pty(context, op, master, slave); outcome.failed()) {
    return outcome;
  }
  if ((op.a | op.b) != 0) {
    winsize size{};
    size.ws_row = static_cast<unsigned short>(op.a);
    size.ws_col = static_cast<unsigned short>(op.b);
    if (const long result = sys::call(__NR_ioctl, master.get(), TIOCSWINSZ, &size); result < 0) {
      return failure(result, Step::ioctl);
    }
  }
  if (const Outcome outcome = send_console(context, op, master.get()); outcome.failed()) {
    return outcome;
  }
  if ((op.flags & op_bind_console) != 0) {
    if (const Outcome outcome = bind_console(context, slave.get()); outcome.failed()) {
      return outcome;
    }
  }
  // Only the owner changes; devpts has set the group that its gid= option asks for.
  if (const long result = sys::call(__NR_fchownat, slave.get(), "", op.c, -1, AT_EMPTY_PATH);
      result < 0 && result != -EINVAL && result != -EPERM) {
    return failure(result, Step::chown);
  }
  for (int fd = 0; fd < 3; ++fd) {
    if (const long result = sys::call(__NR_dup3, slave.get(), fd, 0); result < 0) {
      return failure(result, Step::dup);
    }
  }
  return op.d != 0 ? ok : check(sys::call(__NR_ioctl, 0, TIOCSCTTY, 0), Step::ioctl);
}

}  // namespace init

// The container's root: how it is made, and how init enters it.
#include <linux/mount.h>
#include <linux/sched.h>

#include <algorithm>

#include "plan/builder.h"
#include "tare/fd.h"

namespace tare {

using wire::OpCode;

namespace {

/// Opens the directory that the first mount covers; that mount then is the root.
void add_covered_root(PlanBuilder& builder, const std::string& path) {
  int target = -1;
  if (host_opens_sources(builder)) {
    // init need not wait for what the host opens before the mount. But paths below the directory
    // that the mount covers must not be opened early.
    if (std::ranges::none_of(builder.spec().mounts, [&builder](const Mount& mount) {
          return is_below_root(builder, source_path(builder, mount));
        })) {
      builder.request_from_here();
    }
    // Every process may open its own "/".
    if (absolute_path(path) != "/") {
      target = builder.source({PassedKind::directory, path, 0, "root.path"}, false);
    }
  }
  const std::uint32_t text = builder.text(path);
  wire::Op& op = builder.add(OpCode::root, "root.path");
  op.str[0] = text;
  op.n = static_cast<std::uint32_t>(-1 - target);
  op.flags = wire::op_open_only;
}

}  // namespace

void add_root(PlanBuilder& builder) {
  const Spec& spec = builder.spec();
  const std::string path = absolute_path_in(builder.host().bundle, spec.root.path);
  const std::uint64_t wanted =
      propagation_flags(spec.linux_.rootfs_propagation).value_or(MS_SLAVE | MS_REC) &
      ~std::uint64_t{MS_REC};
  const bool own = has_mounts(spec);
  const bool mounted = spec.mounts_root();
  if (spec.makes_namespace(NamespaceType::mount)) {
    // An unbindable tree cannot be cloned; the container's root gets that flag at the end. In a
    // mount namespace owned by a user namespace, no tree is a peer of the host's. The root's
    // parent, which init may not be able to walk to, must not be shared, nor may a directory that a
    // mount covers as the root.
    builder.add(OpCode::propagation, "linux.rootfsPropagation").a =
        wanted == MS_UNBINDABLE || (wanted == MS_SHARED && (mounted || host_opens_sources(builder)))
            ? std::uint64_t{MS_SLAVE}
            : wanted;
  }
  if (mounted) {
    add_covered_root(builder, path);
    return;
  }
  const std::uint32_t text = builder.text(path);
  const bool opened = own && host_opens_sources(builder);
  int fd = -1;
  std::uint32_t target = 0;
  if (opened) {
    fd = builder.source({PassedKind::detached_mount, path, wire::op_recursive, "root.path"}, true);
    target = static_cast<std::uint32_t>(
        -1 - builder.source({PassedKind::directory, path, 0, "root.path"}, false));
  }
  wire::Op& op = builder.add(OpCode::root, "root.path");
  op.str[0] = text;
  op.fd = fd;
  op.n = target;
  if (!own) {
    op.flags = wire::op_open_only;
  } else if (!spec.has_namespace(NamespaceType::mount) || spec.linux_.rootfs_propagation.empty()) {
    // Without a mount namespace, mounts below the root must not reach the peers of the caller's
    // mounts. With one, later mounts of the host below it must not appear in the container.
    op.c = MS_PRIVATE | MS_REC;
  } else if (opened) {
    op.c = (wanted == MS_PRIVATE ? MS_PRIVATE : MS_SLAVE) | MS_REC;
  } else if (wanted == MS_SHARED) {
    // pivot_root(2) refuses a shared new root and one on a shared mount; the propagation is set
    // afterwards.
    op.flags = wire::op_private_parent;
    op.c = MS_PRIVATE;
  }
}

void add_enter_root(PlanBuilder& builder, bool no_pivot) {
  const Spec& spec = builder.spec();
  if (!spec.makes_namespace(NamespaceType::mount)) {
    builder.add(OpCode::chroot);
  } else if (no_pivot) {
    builder.add(OpCode::move_root);
  } else {
    const std::uint64_t wanted = propagation_flags(spec.linux_.rootfs_propagation).value_or(0);
    wire::Op& op = builder.add(OpCode::pivot_root);
    op.a = spec.makes_namespace(NamespaceType::pid) ? 1 : 0;
    if ((wanted & MS_SHARED) != 0) {
      op.flags = wire::op_old_root_is_shared;
    }
    if (spec.mounts_root()) {
      op.flags |= wire::op_covers_old_root;
    }
  }
}

void add_container_root(PlanBuilder& builder, bool can_pass) {
  // setns(2) sets the root to the topmost mount at a mount namespace's root. The container's root
  // differs where chroot(2) set it: without a mount namespace, or where the caller itself is in a
  // chroot.
  const Spec& spec = builder.spec();
  if (can_pass) {
    const int passed = builder.pass({PassedKind::container_root, {}, 0, {}});
    wire::Op& op = builder.add(OpCode::root);
    op.fd = passed;
    op.flags = wire::op_open_only;
  } else if (!spec.makes_namespace(NamespaceType::mount) &&
             !(has_mounts(spec) && host_opens_sources(builder))) {
    const std::uint32_t text =
        builder.text(absolute_path_in(builder.host().bundle, spec.root.path));
    wire::Op& op = builder.add(OpCode::root, "root.path");
    op.str[0] = text;
    op.flags = wire::op_open_only;
  } else {
    return;
  }
  builder.add(OpCode::chroot);
}

void add_read_only_mounts(PlanBuilder& builder, const std::vector<std::string>& paths) {
  const int container = builder.pass({PassedKind::container_pidfd, {}, 0, {}});
  wire::Op& enter = builder.add(OpCode::setns);
  enter.fd = container;
  enter.a = CLONE_NEWNS;
  builder.add(OpCode::root_here);
  for (const std::string& path : paths) {
    const std::uint32_t text = builder.text(path);
    wire::Op& attributes = builder.add(OpCode::attributes);
    attributes.str[1] = text;
    attributes.a = MOUNT_ATTR_RDONLY;
  }
}

void add_tree(PlanBuilder& builder, const std::string& tree, const std::string& directory,
              const std::string& name) {
  builder.clone_flags(CLONE_NEWNS);
  // A root that was a slave of the host's mounts becomes one again, as criu copies the tree's
  // propagation.
  builder.add(OpCode::propagation).a = MS_SLAVE;
  const std::uint32_t path = builder.text(directory);
  wire::Op& root = builder.add(OpCode::root);
  root.str[0] = path;
  root.flags = wire::op_open_only;
  const std::uint32_t source = builder.text(tree);
  const std::uint32_t destination = builder.text("/" + name);
  wire::Op& bind = builder.add(OpCode::bind);
  bind.str[0] = source;
  bind.str[1] = destination;
  bind.flags = wire::op_recursive | wire::op_make_target;
}

}  // namespace tare

// The container's root: how it is made, and how init gets into it.
#include <linux/mount.h>
#include <linux/sched.h>

#include <algorithm>

#include "plan_builder.h"
#include "tare/fd.h"

namespace tare {

using wire::OpCode;

namespace {

/// The directory that the first mount covers, which is then the root.
void add_covered_root(PlanBuilder& builder, const std::string& path) {
  int target = -1;
  if (host_opens_sources(builder)) {
    // What the host opens before the mount, init need not wait for; but nothing is looked for below
    // what the mount is going to cover.
    if (std::ranges::none_of(builder.spec().mounts, [&builder](const Mount& mount) {
          return is_below_root(builder, source_path(builder, mount));
        })) {
      builder.fetch_from_here();
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
    // An unbindable tree could not be cloned from; the container's root gets that flag at the end.
    // In a user namespace of its own no tree is the host's peer, and the root's parent, which init
    // may not be able to walk to, must not be shared; nor what a mount in the root's place covers.
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
    // Without a mount namespace, what is mounted below it is not to reach the peers of the caller's
    // mounts. With one, what the host mounts below it later is not to appear in the container.
    op.c = MS_PRIVATE | MS_REC;
  } else if (opened) {
    op.c = (wanted == MS_PRIVATE ? MS_PRIVATE : MS_SLAVE) | MS_REC;
  } else if (wanted == MS_SHARED) {
    // pivot_root(2) takes neither a shared new root nor one on a shared mount; the propagation
    // comes afterwards.
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
  // setns(2) leads to the topmost root of a mount namespace. The container's is another one where
  // chroot(2) led it there: no mount namespace of its own, or a caller that is itself in a chroot.
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

void add_read_only_mounts(PlanBuilder& builder, const std::vector<std::string>& places) {
  const int container = builder.pass({PassedKind::container_pidfd, {}, 0, {}});
  wire::Op& enter = builder.add(OpCode::setns);
  enter.fd = container;
  enter.a = CLONE_NEWNS;
  builder.add(OpCode::root_here);
  for (const std::string& place : places) {
    const std::uint32_t path = builder.text(place);
    wire::Op& attributes = builder.add(OpCode::attributes);
    attributes.str[1] = path;
    attributes.a = MOUNT_ATTR_RDONLY;
  }
}

void add_tree(PlanBuilder& builder, const std::string& tree, const std::string& place,
              const std::string& name) {
  builder.clone_flags(CLONE_NEWNS);
  // A root that was a slave of the host's mounts is to be one again: criu copies that of the tree.
  builder.add(OpCode::propagation).a = MS_SLAVE;
  const std::uint32_t directory = builder.text(place);
  wire::Op& root = builder.add(OpCode::root);
  root.str[0] = directory;
  root.flags = wire::op_open_only;
  const std::uint32_t source = builder.text(tree);
  const std::uint32_t destination = builder.text("/" + name);
  wire::Op& bind = builder.add(OpCode::bind);
  bind.str[0] = source;
  bind.str[1] = destination;
  bind.flags = wire::op_recursive | wire::op_make_target;
}

}  // namespace tare

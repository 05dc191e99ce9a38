// What several kinds of ops on mounts share: calls of the mount API, and the target of a mount.
#pragma once

#include <linux/mount.h>
#include <linux/stat.h>

#include "init.h"

namespace init {

inline constexpr unsigned long ms_rec = 0x4000;
inline constexpr unsigned long ms_private = 1UL << 18;
inline constexpr unsigned long ms_slave = 1UL << 19;

inline long set_attributes(int fd, bool recursive, std::uint64_t set, std::uint64_t clear,
                           std::uint64_t propagation) {
  mount_attr attributes{};
  attributes.attr_set = set;
  attributes.attr_clr = clear;
  attributes.propagation = propagation;
  return sys::call(__NR_mount_setattr, fd, "", AT_EMPTY_PATH | (recursive ? AT_RECURSIVE : 0),
                   &attributes, sizeof attributes);
}

// Performs a postponed request before one of its mounts is taken.
inline Outcome request_if_postponed(Context& context) {
  return context.postponed_request != nullptr ? request_mounts(context, *context.postponed_request)
                                              : ok;
}

// Takes the mount that the host sent for an op.
inline long take_source(Context& context, const Op& op) {
  int& requested = context.requested[-2 - op.fd];
  const int fd = requested;
  requested = -1;
  return fd >= 0 ? fd : -EBADF;
}

inline long move_mount(int mount, int target) {
  return sys::call(__NR_move_mount, mount, "", target, "",
                   MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH);
}

inline long attach(Context& context, int mount, int target) {
  forget_parent(context);
  return move_mount(mount, target);
}

inline long clone_tree(int fd, bool recursive) {
  return sys::call(__NR_open_tree, fd, "",
                   static_cast<unsigned>(AT_EMPTY_PATH) | OPEN_TREE_CLONE |
                       static_cast<unsigned>(OPEN_TREE_CLOEXEC) |
                       (recursive ? static_cast<unsigned>(AT_RECURSIVE) : 0U));
}

/// Applies all that an op requests for a mount: its attributes, those of the whole tree, and
/// propagation.
Outcome set_all_attributes(int fd, const Op& op);

/// Opens the target of a mount, and creates it where the op requests that: a directory if
/// `directory`, else a file.
Outcome open_target(Context& context, const Op& op, bool directory, Handle& target);
/// Attaches the mount and keeps its descriptor: later ops refer to the mount by it.
Outcome attach_and_remember(Context& context, const Op& op, Handle& mount, int target);
/// Keeps the descriptor of a mount that is attached already.
void remember(Context& context, const Op& op, Handle& mount);
/// Opens the kept mount that the op refers to, or else the op's path.
long open_mounted(const Context& context, const Op& op);

}  // namespace init

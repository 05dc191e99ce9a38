// Calls of the mount API that several kinds of ops make.
#pragma once

#include <linux/mount.h>

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
  return sys::run(__NR_mount_setattr, fd, "", AT_EMPTY_PATH | (recursive ? AT_RECURSIVE : 0),
                  &attributes, sizeof attributes);
}

// Performs a postponed fetch before one of its mounts is taken.
inline Outcome fetch_if_not_yet(Context& context) {
  return context.to_fetch != 0 ? fetch(context, context.to_fetch) : ok;
}

// Takes the mount that the host sent for an op.
inline long take_source(Context& context, const Op& op) {
  int& fetched = context.fetched[-2 - op.fd];
  const int fd = fetched;
  fetched = -1;
  return fd >= 0 ? fd : -EBADF;
}

inline long move_mount(int mount, int target) {
  return sys::run(__NR_move_mount, mount, "", target, "",
                  MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH);
}

inline long attach(Context& context, int mount, int target) {
  forget_parent(context);
  return move_mount(mount, target);
}

inline long clone_tree(int fd, bool recursive) {
  return sys::run(__NR_open_tree, fd, "",
                  static_cast<unsigned>(AT_EMPTY_PATH) | OPEN_TREE_CLONE |
                      static_cast<unsigned>(OPEN_TREE_CLOEXEC) |
                      (recursive ? static_cast<unsigned>(AT_RECURSIVE) : 0U));
}

/// Applies all that an op requests for a mount: its attributes, those of the whole tree, and
/// propagation.
Outcome set_all_attributes(int fd, const Op& op);

}  // namespace init

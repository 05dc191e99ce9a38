// The mounts of a container without a mount namespace: they are made in the caller's, all below the
// mount of the container's root.
#pragma once

#include "state/directory.h"
#include "tare/spec.h"

namespace tare {

/// Whether `spec` has its mounts made in the caller's mount namespace.
bool mounts_on_host(const Spec& spec);
/// Records the mount at `rootfs` before the container's, to distinguish the two.
void note_root(const StateDir& dir, const std::string& rootfs);
/// Records the mount that init has made there.
void note_root_mount(const StateDir& dir);
/// Unmounts the container's root with all submounts, unless another mount covers it.
void detach_root_mount(const StateDir& dir);

}  // namespace tare

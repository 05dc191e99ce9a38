// The mounts of a container without a mount namespace: they are made in the caller's, all below one
// mount, that of its root.
#pragma once

#include "tare/spec.h"
#include "tare/state.h"

namespace tare {

/// Whether `spec` has its mounts made in the caller's mount namespace.
bool mounts_on_host(const Spec& spec);
/// Notes what lies at `rootfs` now, so that what is mounted there can be told from it.
void note_root(StateDir& dir, const std::string& rootfs);
/// Notes what init has mounted there.
void note_root_mount(StateDir& dir);
/// Unmounts the container's root with all below it. Leaves what others have mounted over it.
void detach_root_mount(const StateDir& dir);

}  // namespace tare

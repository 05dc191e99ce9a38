/// \file
/// Opens the mounts that init requests. Private to spawn.
#pragma once

#include <cstddef>
#include <vector>

#include "spawn/spawn.h"

namespace tare {

/// Opens `count` requested mounts from `first` on in init's mount namespace. `passed` are the fds
/// that init was spawned with. Throws `system`.
std::vector<Fd> open_requested_mounts(InitProcess& init, const Plan& plan,
                                      const std::vector<int>& passed, std::size_t first,
                                      std::size_t count);

}  // namespace tare

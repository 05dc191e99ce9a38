// linux.netDevices, config-linux.md "Network Devices".
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "tare/fd.h"
#include "tare/spec.h"

namespace tare {

/// Moves devices of this process's network namespace to another one: with new names, their global
/// permanent addresses kept, and set up. `container_socket` is an rtnetlink socket of that
/// namespace. Throws `system`; all devices are checked before the first one moves.
void move_net_devices(const std::vector<std::pair<std::string, NetDevice>>& devices,
                      int container_namespace, Fd container_socket);

/// Sets up "lo" of the network namespace of `socket`, an rtnetlink socket. Throws `system`.
void set_up_loopback(Fd socket);

}  // namespace tare

// Opens a socket in a container's network namespace.
#include <array>

#include "spawn/spawn.h"
#include "spawn/vfork_child.h"
#include "tare/signals.h"

namespace tare {

Fd open_netlink_socket_in(int network_namespace) {
  alignas(16) std::array<unsigned char, std::size_t{16} << 10> stack;
  const BlockedSignals blocked;
  const int socket = open_netlink_socket(network_namespace, stack.data(), stack.size());
  if (socket < 0) {
    throw_errno(-socket, "setns", "the container's network namespace");
  }
  return Fd(socket);
}

}  // namespace tare

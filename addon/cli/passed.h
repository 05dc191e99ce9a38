/// \file
/// What a process gets from the caller besides its standard streams.
#pragma once

#include "tare/container.h"
#include "verbs.h"

namespace tare::cli {

/// Descriptors by socket activation, sd_listen_fds(3): they are 3, 4, … of the caller and of the
/// container.
struct ListenFds {
  unsigned count = 0;
  std::vector<std::string> env;  ///< what tells the container's process of them
};
/// None where $LISTEN_PID is not this process.
ListenFds listen_fds_of_caller();

/// Standard streams, `listen_count` descriptors and then those of `preserve`, and the sockets.
/// Throws `invalid_argument` for a descriptor that is not open.
Stdio stdio_of_caller(const Arguments& arguments, unsigned listen_count, const Flag& preserve);

/// Throws `invalid_argument` for a --console-socket that nothing would be sent to.
void check_console_socket(const Arguments& arguments);

}  // namespace tare::cli

/// \file
/// The descriptors that a process inherits from the caller.
#pragma once

#include "tare/container.h"
#include "verbs.h"

namespace tare::cli {

/// Descriptors of socket activation, sd_listen_fds(3): they are 3, 4, … in the caller and in the
/// container.
struct ListenFds {
  unsigned count = 0;
  std::vector<std::string> env;  ///< variables that describe them to the container's process
};
/// Returns none if $LISTEN_PID is not this process.
ListenFds listen_fds_of_caller();

/// Returns the standard streams, `listen_count` descriptors and then those of `preserve`, and the
/// sockets. Throws `invalid_argument` for a descriptor that is not open.
Stdio stdio_of_caller(const Arguments& arguments, unsigned listen_count, const Flag& preserve);

/// Throws `invalid_argument` for a --console-socket to which nothing would be sent.
void check_console_socket(const Arguments& arguments);

}  // namespace tare::cli

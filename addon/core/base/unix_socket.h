// Sends an fd to another process over a unix socket: `--console-socket`, `--pidfd-socket`.
#pragma once

#include <string>
#include <string_view>

#include "tare/fd.h"

namespace tare {

/// Connects to the stream socket at `path`, or to the abstract socket "@NAME"; `option` is the flag
/// for errors.
Fd connect_fd_socket(const std::string& path, std::string_view option);
/// Sends `fd` with SCM_RIGHTS; `name` is the message's text.
void send_fd(int socket, int fd, std::string_view name);

}  // namespace tare

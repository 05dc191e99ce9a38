/// \file
/// Messages on unix(7) sockets, with the descriptors and credentials that they carry.
#pragma once

#include <sys/socket.h>
#include <sys/un.h>

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "tare/fd.h"

namespace tare {

/// The address of a socket.
struct UnixAddress {
  sockaddr_un name{};
  socklen_t size = 0;

  const sockaddr* get() const noexcept { return reinterpret_cast<const sockaddr*>(&name); }
};
/// Returns the address of the socket at `path`, or of the abstract socket "@NAME"; none if it is
/// longer than a socket's address may be (107 bytes).
std::optional<UnixAddress> unix_address(std::string_view path) noexcept;

/// Connects to the stream socket at `path`, or to the abstract socket "@NAME"; `option` is the flag
/// for errors.
Fd connect_fd_socket(const std::string& path, std::string_view option);

/// Returns both ends of a new SOCK_SEQPACKET connection. `name` denotes it in errors.
std::pair<Fd, Fd> make_socket_pair(std::string_view name = {});

/// The largest number of descriptors that a message carries here; the kernel allows more.
inline constexpr std::size_t max_sent_fds = 48;
/// Sends `data` as one message, with a copy of each of `fds`, to `to` or to the other end of the
/// connection. `flags` are those of sendmsg(2); MSG_NOSIGNAL is added. Returns 0 or the errno.
int send_message(int socket, std::string_view data, std::span<const int> fds = {}, int flags = 0,
                 const UnixAddress* to = nullptr) noexcept;
/// Sends `fd` with the text `name`. Throws `system`.
void send_fd(int socket, int fd, std::string_view name);

/// A received message.
struct ReceivedMessage {
  std::size_t size = 0;         ///< 0: an empty message, or the end of the connection
  Fd fd;                        ///< the first descriptor attached to it; further ones are closed
  std::optional<pid_t> sender;  ///< if the socket has SO_PASSCRED; none at the connection's end
};
/// Receives a message into `buffer`. `flags` are those of recvmsg(2). Returns none and sets errno
/// on failure.
std::optional<ReceivedMessage> receive_message(int socket, std::span<std::byte> buffer,
                                               int flags = 0) noexcept;

}  // namespace tare

// The other end of tare's unix(7) sockets, written without tare's own functions.
#pragma once

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <span>

[[noreturn]] inline void fail(const char* what) {
  std::perror(what);
  std::exit(1);
}

inline sockaddr_un address_of(const char* path) {
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  if (path == nullptr || std::strlen(path) >= sizeof address.sun_path) fail("address");
  std::strcpy(address.sun_path, path);
  return address;
}

/// Returns a socket of `type` at `path`, and says "listening" on stderr.
inline int listen_at(const char* path, int type) {
  const sockaddr_un address = address_of(path);
  const int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);
  if (bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) fail("bind");
  if (type == SOCK_STREAM && listen(fd, 1) != 0) fail("listen");
  std::fputs("listening\n", stderr);
  return fd;
}

struct Received {
  ssize_t size = -1;  ///< as recvmsg(2) returns it
  int fd = -1;        ///< the descriptor that came with the message
};

inline Received receive(int socket, std::span<char> data) {
  iovec io = {data.data(), data.size()};
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> control = {};
  msghdr message = {};
  message.msg_iov = &io;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  Received received;
  received.size = recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
  const cmsghdr* header = received.size < 0 ? nullptr : CMSG_FIRSTHDR(&message);
  if (header != nullptr && header->cmsg_type == SCM_RIGHTS) {
    std::memcpy(&received.fd, CMSG_DATA(header), sizeof received.fd);
  }
  return received;
}

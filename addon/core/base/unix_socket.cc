#include "base/unix_socket.h"

#include <sys/socket.h>
#include <sys/un.h>

#include <array>
#include <cerrno>
#include <cstddef>
#include <cstring>

#include "tare/error.h"

namespace tare {

Fd connect_fd_socket(const std::string& path, std::string_view option) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path) {
    throw Error(ErrorKind::invalid_argument, std::string(option) + ": " + path +
                                                 ": longer than a socket's path may be (107 bytes)")
        .with_path(path);
  }
  path.copy(address.sun_path, path.size());
  socklen_t size = sizeof address;
  if (path.starts_with('@')) {
    // An abstract socket, unix(7): its name begins with NUL and ends with the address.
    address.sun_path[0] = '\0';
    size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + path.size());
  }
  Fd socket_fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!socket_fd) {
    throw_errno("socket", std::string(option) + ": " + path);
  }
  int error = EINTR;
  while (error == EINTR) {
    error =
        connect(socket_fd.get(), reinterpret_cast<const sockaddr*>(&address), size) < 0 ? errno : 0;
  }
  if (error != 0) {
    throw Error(ErrorKind::invalid_argument, std::string(option) + ": " + path +
                                                 ": connect: " + errno_text(error) +
                                                 "; a process must be listening on it")
        .with_errno(error, "connect")
        .with_path(path);
  }
  return socket_fd;
}

void send_fd(int socket, int fd, std::string_view name) {
  std::string text(name);
  iovec vector{text.data(), text.size()};
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> control{};
  msghdr header{};
  header.msg_iov = &vector;
  header.msg_iovlen = 1;
  header.msg_control = control.data();
  header.msg_controllen = control.size();
  cmsghdr* message = CMSG_FIRSTHDR(&header);
  message->cmsg_level = SOL_SOCKET;
  message->cmsg_type = SCM_RIGHTS;
  message->cmsg_len = CMSG_LEN(sizeof(int));
  std::memcpy(CMSG_DATA(message), &fd, sizeof fd);
  while (sendmsg(socket, &header, MSG_NOSIGNAL) < 0) {
    if (errno != EINTR) {
      throw_errno("sendmsg", text);
    }
  }
}

}  // namespace tare

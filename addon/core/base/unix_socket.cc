#include "tare/unix_socket.h"

#include <array>
#include <cerrno>
#include <cstring>

#include "tare/error.h"

namespace tare {

std::optional<UnixAddress> unix_address(std::string_view path) noexcept {
  UnixAddress address;
  address.name.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.name.sun_path) {
    return std::nullopt;
  }
  path.copy(address.name.sun_path, path.size());
  const std::size_t end = offsetof(sockaddr_un, sun_path) + path.size();
  if (path.starts_with('@')) {
    // An abstract socket, unix(7): its name begins with NUL and ends with the address.
    address.name.sun_path[0] = '\0';
    address.size = static_cast<socklen_t>(end);
  } else {
    address.size = static_cast<socklen_t>(end + 1);
  }
  return address;
}

Fd connect_fd_socket(const std::string& path, std::string_view option) {
  const std::string where = std::string(option) + ": " + path;
  const std::optional<UnixAddress> address = unix_address(path);
  if (!address) {
    throw Error(ErrorKind::invalid_argument,
                where + ": longer than a socket's path may be (107 bytes)")
        .with_path(path);
  }
  Fd socket_fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!socket_fd) {
    throw_errno("socket", where);
  }
  int error = EINTR;
  while (error == EINTR) {
    error = connect(socket_fd.get(), address->get(), address->size) < 0 ? errno : 0;
  }
  if (error != 0) {
    throw Error(ErrorKind::invalid_argument,
                where + ": connect: " + errno_text(error) + "; a process must be listening on it")
        .with_errno(error, "connect")
        .with_path(path);
  }
  return socket_fd;
}

std::pair<Fd, Fd> make_socket_pair(std::string_view name) {
  std::array<int, 2> ends{};
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends.data()) < 0) {
    throw_errno("socketpair", name);
  }
  return {Fd(ends[0]), Fd(ends[1])};
}

int send_message(int socket, std::string_view data, std::span<const int> fds, int flags,
                 const UnixAddress* to) noexcept {
  if (fds.size() > max_sent_fds) {
    return EINVAL;
  }
  iovec vector{const_cast<char*>(data.data()), data.size()};
  alignas(cmsghdr) std::array<char, CMSG_SPACE(max_sent_fds * sizeof(int))> control{};
  msghdr header{};
  header.msg_iov = &vector;
  header.msg_iovlen = 1;
  if (to != nullptr) {
    header.msg_name = const_cast<sockaddr_un*>(&to->name);
    header.msg_namelen = to->size;
  }
  if (!fds.empty()) {
    header.msg_control = control.data();
    header.msg_controllen = CMSG_SPACE(fds.size_bytes());
    cmsghdr* const message = CMSG_FIRSTHDR(&header);
    message->cmsg_level = SOL_SOCKET;
    message->cmsg_type = SCM_RIGHTS;
    message->cmsg_len = CMSG_LEN(fds.size_bytes());
    std::memcpy(CMSG_DATA(message), fds.data(), fds.size_bytes());
  }
  while (sendmsg(socket, &header, MSG_NOSIGNAL | flags) < 0) {
    if (errno != EINTR) {
      return errno;
    }
  }
  return 0;
}

void send_fd(int socket, int fd, std::string_view name) {
  if (const int error = send_message(socket, name, {&fd, 1})) {
    throw_errno(error, "sendmsg", name);
  }
}

namespace {

/// Takes all descriptors of an SCM_RIGHTS part, of which the sender may have attached any number,
/// and returns the first.
Fd take_fds(const cmsghdr* part) noexcept {
  Fd first;
  const std::size_t count = (part->cmsg_len - CMSG_LEN(0)) / sizeof(int);
  for (std::size_t i = 0; i < count; ++i) {
    int raw = -1;
    std::memcpy(&raw, CMSG_DATA(part) + i * sizeof raw, sizeof raw);
    Fd fd(raw);
    if (!first) {
      first = std::move(fd);
    }
  }
  return first;
}

}  // namespace

std::optional<ReceivedMessage> receive_message(int socket, std::span<std::byte> buffer,
                                               int flags) noexcept {
  iovec vector{buffer.data(), buffer.size()};
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int)) + CMSG_SPACE(sizeof(ucred))> control{};
  msghdr header{};
  header.msg_iov = &vector;
  header.msg_iovlen = 1;
  header.msg_control = control.data();
  header.msg_controllen = control.size();
  ssize_t got = -1;
  do {
    got = recvmsg(socket, &header, MSG_CMSG_CLOEXEC | flags);
  } while (got < 0 && errno == EINTR);
  if (got < 0) {
    return std::nullopt;
  }
  ReceivedMessage message;
  message.size = static_cast<std::size_t>(got);
  for (cmsghdr* part = CMSG_FIRSTHDR(&header); part != nullptr; part = CMSG_NXTHDR(&header, part)) {
    if (part->cmsg_level == SOL_SOCKET && part->cmsg_type == SCM_RIGHTS) {
      message.fd = take_fds(part);
    } else if (part->cmsg_level == SOL_SOCKET && part->cmsg_type == SCM_CREDENTIALS) {
      ucred credentials{};
      std::memcpy(&credentials, CMSG_DATA(part), sizeof credentials);
      message.sender = credentials.pid;
    }
  }
  return message;
}

}  // namespace tare

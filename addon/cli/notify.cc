#include "notify.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <optional>
#include <span>
#include <string_view>
#include <utility>

#include "log.h"
#include "tare/error.h"
#include "tare/unix_socket.h"

namespace tare::cli {

namespace {

constexpr const char* socket_name = "notify.sock";
/// How long a service manager may take. One that does not know BARRIER= never closes the
/// descriptor.
constexpr int barrier_milliseconds = 30'000;

UnixAddress address_of(const std::string& path) {
  const std::optional<UnixAddress> address = unix_address(path);
  if (path.empty() || !address) {
    throw Error(ErrorKind::invalid_argument,
                "NOTIFY_SOCKET " + path + ": an address has 1 to 107 bytes");
  }
  return *address;
}

Fd datagram_socket() {
  Fd fd(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!fd) throw_errno("socket");
  return fd;
}

}  // namespace

std::string notify_socket_of_caller() {
  const char* value = std::getenv("NOTIFY_SOCKET");
  return value == nullptr ? std::string() : std::string(value);
}

NotifySocket::NotifySocket(const std::string& directory, std::string host)
    : socket_(datagram_socket()), host_(std::move(host)) {
  address_of(host_);
  const Fd dir = open_file(AT_FDCWD, directory, O_PATH | O_DIRECTORY);
  if (::unlinkat(dir.get(), socket_name, 0) != 0 && errno != ENOENT) {
    throw_errno("unlinkat", directory + "/" + socket_name);
  }
  // By the descriptor, since the directory's path may be longer than a socket address.
  const UnixAddress address =
      address_of("/proc/self/fd/" + std::to_string(dir.get()) + "/" + socket_name);
  // The container's process may have any uid. Changing the mode afterwards could change that of a
  // file that a process of the container has put in the socket's place.
  const mode_t mask = ::umask(0);
  const int bound = ::bind(socket_.get(), address.get(), address.size);
  const int error = errno;
  ::umask(mask);
  if (bound != 0) {
    throw_errno(error, "bind", directory + "/" + socket_name);
  }
}

void NotifySocket::send(std::string_view text, int passed_fd) const {
  const UnixAddress address = address_of(host_);
  const std::span<const int> fds(&passed_fd, passed_fd >= 0 ? 1 : 0);
  const Fd client = datagram_socket();
  if (const int error = send_message(client.get(), text, fds, 0, &address)) {
    throw_errno(error, "sendmsg", "NOTIFY_SOCKET " + host_);
  }
}

bool NotifySocket::forward(pid_t main_pid) const {
  std::array<char, 4096> buffer;
  const ssize_t size = ::recv(socket_.get(), buffer.data(), buffer.size(), MSG_DONTWAIT);
  if (size < 0) return false;
  std::string_view text(buffer.data(), static_cast<std::size_t>(size));
  while (!text.empty()) {
    const auto end = text.find('\n');
    const std::string_view line = text.substr(0, end);
    if (line.starts_with("READY=")) {
      if (log::debugging()) log::debug("the container reports " + std::string(line));
      send(std::string(line) + "\n", -1);
      send("MAINPID=" + std::to_string(main_pid) + "\n", -1);
      return true;
    }
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
  }
  return false;
}

void NotifySocket::barrier() const {
  std::array<int, 2> pipe = {};
  if (::pipe2(pipe.data(), O_CLOEXEC) != 0) throw_errno("pipe2");
  const Fd reader(pipe[0]);
  Fd writer(pipe[1]);
  send("BARRIER=1", writer.get());
  writer.reset();
  pollfd closed = {.fd = reader.get(), .events = POLLIN, .revents = 0};
  if (::poll(&closed, 1, barrier_milliseconds) == 0) {
    log::warning("NOTIFY_SOCKET " + host_ + ": no answer to BARRIER=1 within 30 s, continuing");
  }
}

void NotifySocket::wait_until_ready(int pidfd, pid_t main_pid) const {
  std::array<pollfd, 2> wanted = {{{fd(), POLLIN, 0}, {pidfd, POLLIN, 0}}};
  while (true) {
    if (::poll(wanted.data(), wanted.size(), -1) < 0 && errno != EINTR) throw_errno("poll");
    // A message that was sent before the process ended counts.
    if ((wanted[0].revents & POLLIN) != 0) {
      if (forward(main_pid)) return barrier();
    } else if (wanted[1].revents != 0) {
      return;
    }
  }
}

}  // namespace tare::cli

// The engine's end of --console-socket and --pidfd-socket.
//
//   recvtty SOCKET          listens on SOCKET, prints "listening" on stderr, takes the master of
//                           one terminal, copies stdin to it and its output to stdout, until every
//                           slave is closed
//   recvtty --pidfd SOCKET  takes a pidfd and prints the pid of its process
//   recvtty --all SOCKET    takes the terminals of all connections, and keeps them open

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <string>
#include <string_view>

#include "unix_socket.h"

namespace {

int accept_one(int listener) {
  const int connection = accept(listener, nullptr, nullptr);
  if (connection < 0) fail("accept");
  return connection;
}

/// Returns the one descriptor that comes with a message; -1 if the sender ends without one.
int receive_fd(int connection) {
  std::array<char, 4096> data;
  return receive(connection, data).fd;
}

/// Copies what is available; returns false at the end.
bool copy(int from, int to) {
  std::array<char, 4096> buffer;
  const ssize_t size = read(from, buffer.data(), buffer.size());
  return size > 0 && write(to, buffer.data(), static_cast<std::size_t>(size)) == size;
}

void attach(int master) {
  std::array<pollfd, 2> polled = {{{master, POLLIN, 0}, {STDIN_FILENO, POLLIN, 0}}};
  while (poll(polled.data(), polled.size(), -1) >= 0) {
    if (polled[1].revents != 0 && !copy(STDIN_FILENO, master)) polled[1].fd = -1;
    if (polled[0].revents != 0 && !copy(master, STDOUT_FILENO)) return;
  }
}

void print_pid(int pidfd) {
  const std::string path = "/proc/self/fdinfo/" + std::to_string(pidfd);
  std::FILE* info = std::fopen(path.c_str(), "re");
  if (info == nullptr) fail(path.c_str());
  int pid = 0;
  std::array<char, 128> line;
  while (std::fgets(line.data(), line.size(), info) != nullptr) {
    if (std::sscanf(line.data(), "Pid: %d", &pid) == 1) std::printf("%d\n", pid);
  }
  std::fclose(info);
}

}  // namespace

int main(int argc, char** argv) {
  const std::string_view what = argc == 3 ? argv[1] : "";
  if (argc != 2 && what != "--pidfd" && what != "--all") {
    std::fputs("usage: recvtty [--pidfd | --all] SOCKET\n", stderr);
    return 2;
  }
  const int listener = listen_at(argv[argc - 1], SOCK_STREAM);
  while (what == "--all") {
    const int connection = accept_one(listener);
    receive_fd(connection);
    close(connection);
  }
  const int fd = receive_fd(accept_one(listener));
  if (fd < 0) fail("no descriptor came");
  if (what == "--pidfd") {
    print_pid(fd);
  } else {
    attach(fd);
  }
  return 0;
}

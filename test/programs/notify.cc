// The two ends of sd_notify(3).
//
//   notify listen SOCKET   as a service manager: prints "listening" on stderr, then each message,
//                          and "(with a descriptor)" after those that carry one, which it closes
//   notify send TEXT       as a service: sends TEXT to $NOTIFY_SOCKET; "\n" in it stands for a
//                          newline

#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>

#include "unix_socket.h"

namespace {

[[noreturn]] void listen_on(const char* path) {
  const int socket = listen_at(path, SOCK_DGRAM);
  while (true) {
    std::array<char, 4096> data;
    const Received received = receive(socket, data);
    if (received.size < 0) fail("recvmsg");
    std::string_view text(data.data(), static_cast<std::size_t>(received.size));
    if (text.ends_with('\n')) text.remove_suffix(1);
    std::printf("%.*s", static_cast<int>(text.size()), text.data());
    if (received.fd >= 0) {
      std::printf(" (with a descriptor)");
      close(received.fd);
    }
    std::printf("\n");
    std::fflush(stdout);
  }
}

void send(std::string text) {
  for (std::size_t at = 0; (at = text.find("\\n", at)) != std::string::npos;) {
    text.erase(at, 1);
    text[at] = '\n';
  }
  const sockaddr_un address = address_of(std::getenv("NOTIFY_SOCKET"));
  const int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  const auto* to = reinterpret_cast<const sockaddr*>(&address);
  if (sendto(fd, text.data(), text.size(), 0, to, sizeof address) < 0) fail("sendto");
}

}  // namespace

int main(int argc, char** argv) {
  const std::string_view mode = argc == 3 ? argv[1] : "";
  if (mode == "listen") listen_on(argv[2]);
  if (mode != "send") {
    std::fputs("usage: notify listen SOCKET | notify send TEXT\n", stderr);
    return 2;
  }
  send(argv[2]);
  return 0;
}

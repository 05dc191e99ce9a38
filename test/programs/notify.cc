// The two ends of sd_notify(3).
//
//   notify listen SOCKET   as a service manager: prints "listening" on stderr, then each message,
//                          and "(with N descriptors)" after those that carry some, which it closes
//   notify send TEXT       as a service: sends TEXT to $NOTIFY_SOCKET; "\n" in it stands for a
//                          newline

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>

namespace {

[[noreturn]] void fail(const char* what) {
  std::perror(what);
  std::exit(1);
}

sockaddr_un address_of(const char* path) {
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  if (path == nullptr || std::strlen(path) >= sizeof address.sun_path) fail("address");
  std::strcpy(address.sun_path, path);
  return address;
}

int close_passed(msghdr& message) {
  const cmsghdr* header = CMSG_FIRSTHDR(&message);
  if (header == nullptr || header->cmsg_type != SCM_RIGHTS) return 0;
  int fd = -1;
  std::memcpy(&fd, CMSG_DATA(header), sizeof fd);
  close(fd);
  return 1;
}

[[noreturn]] void listen_on(const char* path) {
  const sockaddr_un address = address_of(path);
  const int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) fail("bind");
  std::fputs("listening\n", stderr);
  while (true) {
    std::array<char, 4096> data;
    iovec io = {data.data(), data.size()};
    alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> control = {};
    msghdr message = {};
    message.msg_iov = &io;
    message.msg_iovlen = 1;
    message.msg_control = control.data();
    message.msg_controllen = control.size();
    const ssize_t size = recvmsg(fd, &message, MSG_CMSG_CLOEXEC);
    if (size < 0) fail("recvmsg");
    std::string_view text(data.data(), static_cast<std::size_t>(size));
    if (text.ends_with('\n')) text.remove_suffix(1);
    std::printf("%.*s", static_cast<int>(text.size()), text.data());
    if (const int count = close_passed(message)) std::printf(" (with %d descriptors)", count);
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

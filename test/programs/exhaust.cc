// Takes all of a resource that one user may have, prints how much that was, and keeps it until its
// standard input ends.
//
//   exhaust inotify|watches|pipes|descriptors
//
// "watches" are inotify watches, each of a file that it makes in /tmp; "pipes" are buffers of a
// MiB; "descriptors" are sent over a socket and not received.

#include <fcntl.h>
#include <sys/inotify.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <string_view>

namespace {

bool take_inotify() { return inotify_init1(IN_CLOEXEC) >= 0; }

bool take_watch() {
  static const int instance = inotify_init1(IN_CLOEXEC);
  static int made = 0;
  std::array<char, 32> path{};
  std::snprintf(path.data(), path.size(), "/tmp/%d", made++);
  const int file = open(path.data(), O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
  return file >= 0 && close(file) == 0 && inotify_add_watch(instance, path.data(), IN_OPEN) >= 0;
}

bool take_pipe() {
  std::array<int, 2> ends{};
  return pipe(ends.data()) == 0 && fcntl(ends[0], F_SETPIPE_SZ, 1 << 20) >= 0;
}

bool take_descriptor() {
  static std::array<int, 2> ends{-1, -1};
  static int sent = 0;
  // The queue of a socket is short, so that each pair takes only four descriptors.
  if (sent++ % 4 == 0 && socketpair(AF_UNIX, SOCK_DGRAM, 0, ends.data()) < 0) {
    return false;
  }
  char byte = 0;
  iovec data{&byte, 1};
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> control{};
  msghdr message{};
  message.msg_iov = &data;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  cmsghdr* const header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  header->cmsg_len = CMSG_LEN(sizeof(int));
  const int fd = STDIN_FILENO;
  std::memcpy(CMSG_DATA(header), &fd, sizeof fd);
  if (sendmsg(ends[0], &message, 0) < 0) {
    return false;
  }
  return true;
}

}  // namespace

int main(int argc, char** argv) {
  const std::string_view kind = argc > 1 ? argv[1] : "";
  bool (*const take)() = kind == "inotify"   ? take_inotify
                         : kind == "watches" ? take_watch
                         : kind == "pipes"   ? take_pipe
                                             : take_descriptor;
  int count = 0;
  while (take()) {
    ++count;
  }
  std::printf("%d %s\n", count, strerrorname_np(errno));
  std::fflush(stdout);
  char byte = 0;
  while (read(STDIN_FILENO, &byte, 1) > 0) {
  }
  return 0;
}

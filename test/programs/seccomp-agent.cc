// A seccomp agent, for tests: config-linux.md "The Container Process State", seccomp_unotify(2).
//
//   seccomp-agent SOCKET [CALL=ERRNO | CALL==VALUE] ...
//
// Listens on SOCKET (a path, or @NAME), prints "ready", and then the state's JSON of each
// connection, one line each. It lets the containers' notified calls continue, except those that are
// named: these fail with ERRNO or return VALUE. Ends when its standard input ends.
#include <linux/seccomp.h>
#include <poll.h>
#include <seccomp.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <string>
#include <vector>

namespace {

struct Verdict {
  int error = 0;
  long value = 0;
};

std::map<int, Verdict> verdicts;

[[noreturn]] void fail(const char* what) {
  std::perror(what);
  std::exit(1);
}

void read_verdicts(int count, char** words) {
  for (int i = 0; i < count; ++i) {
    const std::string word = words[i];
    const std::size_t at = word.find('=');
    const int number = seccomp_syscall_resolve_name(word.substr(0, at).c_str());
    if (at == std::string::npos || number == __NR_SCMP_ERROR) {
      errno = EINVAL;
      fail(words[i]);
    }
    Verdict& verdict = verdicts[number];
    if (word[at + 1] == '=') {
      verdict.value = std::atol(word.c_str() + at + 2);
    } else {
      verdict.error = std::atoi(word.c_str() + at + 1);
    }
  }
}

int listen_on(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  path.copy(address.sun_path, sizeof address.sun_path - 1);
  socklen_t size = sizeof address;
  if (path[0] == '@') {
    address.sun_path[0] = '\0';
    size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + path.size());
  }
  const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0 || bind(fd, reinterpret_cast<sockaddr*>(&address), size) < 0 || listen(fd, 16) < 0) {
    fail(path.c_str());
  }
  return fd;
}

/// Reads a connection to its end and prints what it sent. Returns the listener that came with it,
/// or -1.
int accept_state(int listening) {
  const int connection = accept4(listening, nullptr, nullptr, SOCK_CLOEXEC);
  if (connection < 0) {
    fail("accept");
  }
  std::string text;
  int listener = -1;
  for (;;) {
    std::array<char, 4096> buffer;
    iovec vector{buffer.data(), buffer.size()};
    alignas(cmsghdr) std::array<char, CMSG_SPACE(8 * sizeof(int))> control{};
    msghdr header{};
    header.msg_iov = &vector;
    header.msg_iovlen = 1;
    header.msg_control = control.data();
    header.msg_controllen = control.size();
    const ssize_t got = recvmsg(connection, &header, MSG_CMSG_CLOEXEC);
    if (got <= 0) {
      break;
    }
    text.append(buffer.data(), static_cast<std::size_t>(got));
    const cmsghdr* message = CMSG_FIRSTHDR(&header);
    if (message != nullptr && message->cmsg_type == SCM_RIGHTS) {
      if (message->cmsg_len != CMSG_LEN(sizeof(int)) || listener >= 0) {
        text += "more than one descriptor";
      }
      std::memcpy(&listener, CMSG_DATA(message), sizeof listener);
    }
  }
  close(connection);
  std::printf("%s\n", text.c_str());
  std::fflush(stdout);
  return listener;
}

void answer(int listener) {
  seccomp_notif asked{};
  if (ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &asked) < 0) {
    return;  // the calling process has ended
  }
  seccomp_notif_resp response{};
  response.id = asked.id;
  const auto found = verdicts.find(asked.data.nr);
  if (found == verdicts.end()) {
    response.flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE;
  } else {
    response.error = -found->second.error;
    response.val = found->second.value;
  }
  ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &response);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) {
    return 2;
  }
  read_verdicts(argc - 2, argv + 2);
  std::vector<pollfd> polled{{STDIN_FILENO, POLLIN, 0}, {listen_on(argv[1]), POLLIN, 0}};
  std::puts("ready");
  std::fflush(stdout);
  for (;;) {
    if (poll(polled.data(), polled.size(), -1) < 0) {
      fail("poll");
    }
    if (polled[0].revents != 0) {
      return 0;
    }
    for (std::size_t i = 2; i < polled.size(); ++i) {
      if ((polled[i].revents & POLLIN) != 0) {
        answer(polled[i].fd);
      } else if (polled[i].revents != 0) {
        // No process is under the filter any more.
        close(polled[i].fd);
        polled[i].fd = -1;
      }
    }
    if (polled[1].revents != 0) {
      if (const int listener = accept_state(polled[1].fd); listener >= 0) {
        polled.push_back({listener, POLLIN, 0});
      }
    }
  }
}

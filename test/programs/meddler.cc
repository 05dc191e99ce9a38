// meddler: pid 1 of a container that interferes with each process that enters it.
//
//   meddler kill       kills all other processes, again and again
//   meddler stop       stops them
//   meddler self WHAT  takes the sockets of an entering process and sends by them, as itself
//   meddler them WHAT  the same, with the entering process's credentials
//
// WHAT is what it sends to the process at the other end: "nothing" (an empty message), "executing",
// "forked" (with its own pid), "console"; to each it adds as many descriptors as it may.
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <string>
#include <string_view>

#include "newest.h"
#include "tare/wire.h"

namespace {

using tare::wire::ReportKind;

constexpr std::size_t most_fds = 200;

/// Sends `what` by `socket` with the credentials of `pid`.
void say(int socket, pid_t pid, std::string_view what) {
  tare::wire::Report report;
  report.kind = what == "executing" ? ReportKind::executing
                : what == "forked"  ? ReportKind::forked
                                    : ReportKind::console;
  report.value = static_cast<std::uint32_t>(getpid());
  iovec vector{&report, what == "nothing" ? 0 : sizeof report};
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(ucred)) + CMSG_SPACE(most_fds * sizeof(int))>
      control{};
  msghdr header{};
  header.msg_iov = &vector;
  header.msg_iovlen = 1;
  header.msg_control = control.data();
  header.msg_controllen = control.size();
  cmsghdr* part = CMSG_FIRSTHDR(&header);
  const ucred credentials{pid, getuid(), getgid()};
  part->cmsg_level = SOL_SOCKET;
  part->cmsg_type = SCM_CREDENTIALS;
  part->cmsg_len = CMSG_LEN(sizeof credentials);
  memcpy(CMSG_DATA(part), &credentials, sizeof credentials);
  part = CMSG_NXTHDR(&header, part);
  std::array<int, most_fds> fds{};
  fds.fill(open("/dev/null", O_RDWR | O_CLOEXEC));
  part->cmsg_level = SOL_SOCKET;
  part->cmsg_type = SCM_RIGHTS;
  part->cmsg_len = CMSG_LEN(sizeof fds);
  memcpy(CMSG_DATA(part), fds.data(), sizeof fds);
  if (sendmsg(socket, &header, MSG_NOSIGNAL | MSG_DONTWAIT) >= 0) {
    printf("said\n");
  }
  close(fds.front());
}

/// Stops the traced process, so that its sockets still exist, and sends by all of them.
void meddle(pid_t pid, bool as_them, std::string_view what) {
  int status = 0;
  ptrace(PTRACE_INTERRUPT, pid, nullptr, nullptr);
  if (waitpid(pid, &status, __WALL) == pid && WIFSTOPPED(status)) {
    const int pidfd = static_cast<int>(syscall(SYS_pidfd_open, pid, 0));
    for (int fd = 3; fd < 8; ++fd) {
      const int socket = static_cast<int>(syscall(SYS_pidfd_getfd, pidfd, fd, 0));
      struct stat file{};
      if (socket >= 0 && fstat(socket, &file) == 0 && S_ISSOCK(file.st_mode)) {
        say(socket, as_them ? pid : getpid(), what);
      }
      close(socket);
    }
    close(pidfd);
  }
  ptrace(PTRACE_DETACH, pid, nullptr, nullptr);
}

}  // namespace

int main(int argc, char** argv) {
  setvbuf(stdout, nullptr, _IOLBF, 0);
  if (argc == 2) {
    const int signal = std::string_view(argv[1]) == "stop" ? SIGSTOP : SIGKILL;
    printf("begun\n");
    for (;;) kill(-1, signal);
  }
  if (argc != 3) return 2;
  const bool as_them = std::string_view(argv[1]) == "them";
  for (unsigned turn = 0;; ++turn) {
    static pid_t next = 2;
    if (turn % 256 == 0) next = std::max(next, newest() + 1);
    for (pid_t pid = next; pid < next + 4; ++pid) {
      if (ptrace(PTRACE_SEIZE, pid, nullptr, nullptr) == 0) {
        meddle(pid, as_them, argv[2]);
        next = pid + 1;
        break;
      }
    }
  }
}

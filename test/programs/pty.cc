// Runs a command on a terminal, without a terminal emulator.
//
//   pty SIZE SIZE COMMAND [ARG ...]   SIZE is ROWSxCOLUMNS: the first at the start, the second
//                                     after SIGUSR1
//
// Copies stdin to the terminal and the terminal's output to stdout; the exit status is the
// command's.

#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <cstdlib>

namespace {

winsize parse_size(const char* text) {
  winsize size = {};
  if (std::sscanf(text, "%hux%hu", &size.ws_row, &size.ws_col) != 2) {
    std::fprintf(stderr, "pty: %s: expected ROWSxCOLUMNS\n", text);
    std::exit(2);
  }
  return size;
}

bool copy(int from, int to) {
  std::array<char, 4096> buffer;
  const ssize_t size = read(from, buffer.data(), buffer.size());
  return size > 0 && write(to, buffer.data(), static_cast<std::size_t>(size)) == size;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 4) {
    std::fputs("usage: pty SIZE SIZE COMMAND [ARG ...]\n", stderr);
    return 2;
  }
  const winsize first = parse_size(argv[1]);
  const winsize second = parse_size(argv[2]);
  sigset_t signals;
  sigset_t before;
  sigemptyset(&signals);
  sigaddset(&signals, SIGUSR1);
  sigprocmask(SIG_BLOCK, &signals, &before);
  int master = -1;
  const pid_t pid = forkpty(&master, nullptr, nullptr, &first);
  if (pid == 0) {
    sigprocmask(SIG_SETMASK, &before, nullptr);
    execvp(argv[3], argv + 3);
    std::perror(argv[3]);
    _exit(127);
  }
  const int arrival = signalfd(-1, &signals, SFD_CLOEXEC);
  std::array<pollfd, 3> polled = {
      {{master, POLLIN, 0}, {STDIN_FILENO, POLLIN, 0}, {arrival, POLLIN, 0}}};
  while (poll(polled.data(), polled.size(), -1) >= 0) {
    if (polled[2].revents != 0) {
      signalfd_siginfo info;
      if (read(arrival, &info, sizeof info) == sizeof info) ioctl(master, TIOCSWINSZ, &second);
    }
    if (polled[1].revents != 0 && !copy(STDIN_FILENO, master)) polled[1].fd = -1;
    if (polled[0].revents != 0 && !copy(master, STDOUT_FILENO)) break;
  }
  int status = 0;
  waitpid(pid, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

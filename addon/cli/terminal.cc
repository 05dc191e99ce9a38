#include "terminal.h"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "tare/error.h"

namespace tare::cli {

namespace {

constexpr std::size_t kernel_limit = std::size_t{256} << 10;

/// Gives the master the size of the first standard stream that is a terminal.
bool copy_size(int master) noexcept {
  for (const int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    winsize size = {};
    if (::ioctl(fd, TIOCGWINSZ, &size) == 0) return ::ioctl(master, TIOCSWINSZ, &size) == 0;
  }
  return false;
}

}  // namespace

void prepare_console(int master) {
  copy_size(master);
  termios settings = {};
  if (::tcgetattr(master, &settings) != 0) throw_errno("tcgetattr", "the container's terminal");
  settings.c_oflag &= ~static_cast<tcflag_t>(ONLCR);
  if (::tcsetattr(master, TCSANOW, &settings) != 0) {
    throw_errno("tcsetattr", "the container's terminal");
  }
}

Terminal::Terminal(Fd master)
    : master_(std::move(master)),
      input_{.from = STDIN_FILENO, .to = master_.get(), .buffer = {}},
      output_{.from = master_.get(), .to = STDOUT_FILENO, .buffer = {}} {
  const int flags = ::fcntl(master_.get(), F_GETFL);
  if (flags < 0 || ::fcntl(master_.get(), F_SETFL, flags | O_NONBLOCK) != 0) {
    throw_errno("fcntl", "the container's terminal");
  }
  termios settings = {};
  if (::tcgetattr(STDIN_FILENO, &settings) != 0) return;
  saved_ = settings;
  ::cfmakeraw(&settings);
  // Other output on this terminal, such as this process's own errors, still gets its carriage
  // returns.
  settings.c_oflag |= OPOST;
  if (::tcsetattr(STDIN_FILENO, TCSANOW, &settings) != 0)
    throw_errno("tcsetattr", "standard input");
}

Terminal::~Terminal() {
  if (saved_) ::tcsetattr(STDIN_FILENO, TCSANOW, &*saved_);
}

void Terminal::resize() const noexcept { copy_size(master_.get()); }

void Terminal::Stream::fill(pollfd& source, pollfd& sink) const noexcept {
  const bool pending = begin < end;
  source = {.fd = open && !pending ? from : -1, .events = POLLIN, .revents = 0};
  sink = {.fd = open && pending ? to : -1, .events = POLLOUT, .revents = 0};
}

void Terminal::Stream::read() noexcept {
  const ssize_t size = ::read(from, buffer.data(), buffer.size());
  if (size < 0 && (errno == EAGAIN || errno == EINTR)) return;
  // End of file, or EIO: every slave is closed.
  if (size <= 0) open = false;
  begin = 0;
  end = size > 0 ? static_cast<std::size_t>(size) : 0;
}

void Terminal::Stream::write() noexcept {
  const ssize_t size = ::write(to, buffer.data() + begin, end - begin);
  if (size < 0 && (errno == EAGAIN || errno == EINTR)) return;
  // There is no reader any more.
  if (size < 0) open = false;
  begin = size < 0 ? end : begin + static_cast<std::size_t>(size);
}

void Terminal::fill(std::span<pollfd, poll_count> wanted) const noexcept {
  input_.fill(wanted[0], wanted[1]);
  output_.fill(wanted[2], wanted[3]);
}

void Terminal::move(std::span<const pollfd, poll_count> ready) {
  if (ready[0].revents != 0) input_.read();
  if (ready[1].revents != 0) input_.write();
  if (ready[2].revents != 0) output_.read();
  if (ready[3].revents != 0) output_.write();
}

void Terminal::drain() {
  // read(2) of a master first waits for data that is still in flight from the slave, so EAGAIN
  // means that there is no more. A pty holds less than the limit; output beyond it is by processes
  // that live on.
  std::size_t left = kernel_limit;
  while (output_.open && left > 0) {
    if (output_.begin == output_.end) {
      output_.read();
      if (output_.begin == output_.end) return;
      left -= std::min(left, output_.end);
    }
    pollfd sink = {.fd = output_.to, .events = POLLOUT, .revents = 0};
    if (::poll(&sink, 1, -1) > 0) output_.write();
  }
}

}  // namespace tare::cli

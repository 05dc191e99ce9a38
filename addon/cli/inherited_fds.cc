#include "inherited_fds.h"

#include <fcntl.h>
#include <unistd.h>

#include <climits>
#include <cstdlib>

#include "tare/error.h"

namespace tare::cli {

namespace {

constexpr unsigned first_fd = 3;  // SD_LISTEN_FDS_START

bool number_in_environment(const char* name, std::uint32_t& number) {
  const char* value = std::getenv(name);
  return value != nullptr && parse_number(value, number);
}

/// Returns whether the caller left `fd` open for this process, whose own files are close-on-exec.
bool is_inherited(int fd) {
  const int flags = ::fcntl(fd, F_GETFD);
  return flags >= 0 && (flags & FD_CLOEXEC) == 0;
}

}  // namespace

ListenFds listen_fds_of_caller() {
  ListenFds result;
  std::uint32_t pid = 0;
  if (!number_in_environment("LISTEN_PID", pid) || pid != static_cast<std::uint32_t>(::getpid()) ||
      !number_in_environment("LISTEN_FDS", result.count) || result.count == 0) {
    return {};
  }
  // In a pid namespace of its own the container's process is 1.
  result.env = {"LISTEN_FDS=" + std::to_string(result.count), "LISTEN_PID=1"};
  if (const char* names = std::getenv("LISTEN_FDNAMES")) {
    result.env.push_back("LISTEN_FDNAMES=" + std::string(names));
  }
  return result;
}

Stdio stdio_of_caller(const Arguments& arguments, unsigned listen_count, const Flag& preserve) {
  Stdio stdio;
  stdio.console_socket = arguments.text(flag::console_socket);
  stdio.pidfd_socket = arguments.text(flag::pidfd_socket);
  const std::uint64_t count = std::uint64_t{listen_count} + arguments.number(preserve);
  for (std::uint64_t i = 0; i < count; i++) {
    const std::uint64_t fd = first_fd + i;
    if (fd > INT_MAX || !is_inherited(static_cast<int>(fd))) {
      const std::string what = i < listen_count
                                   ? "LISTEN_FDS " + std::to_string(listen_count)
                                   : "--preserve-fds " + std::to_string(count - listen_count);
      throw Error(ErrorKind::invalid_argument,
                  what + ": file descriptor " + std::to_string(fd) + " is not open");
    }
    stdio.preserved.push_back(static_cast<int>(fd));
  }
  return stdio;
}

void check_console_socket(const Arguments& arguments) {
  if (!arguments.text(flag::console_socket).empty() && !arguments.is_set(flag::detach)) {
    throw Error(
        ErrorKind::invalid_argument,
        "--console-socket: cannot use console socket without --detach: in the foreground the "
        "terminal is attached to standard input and output");
  }
}

}  // namespace tare::cli

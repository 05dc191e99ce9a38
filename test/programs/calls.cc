// Makes one system call and prints its result: the name of an errno, or "ok".
//
//   calls NAME [ARG ...]
//
// An argument is a number (also octal or hexadecimal), "fd:PATH" for a descriptor of that file,
// "how:FLAGS:MODE" for a struct open_how, "zeros" for a buffer of zeros, or else a string.

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string_view>

namespace {

struct Call {
  std::string_view name;
  long number;
};

constexpr Call calls[] = {
#ifdef SYS_chmod
    {"chmod", SYS_chmod},
    {"mkdir", SYS_mkdir},
    {"mknod", SYS_mknod},
    {"creat", SYS_creat},
    {"open", SYS_open},
#endif
    {"fchmod", SYS_fchmod},
    {"fchmodat", SYS_fchmodat},
    {"fchmodat2", 452},
    {"mkdirat", SYS_mkdirat},
    {"mknodat", SYS_mknodat},
    {"openat", SYS_openat},
    {"openat2", SYS_openat2},
    {"socket", SYS_socket},
    {"socketpair", SYS_socketpair},
    {"io_setup", SYS_io_setup},
    {"io_uring_setup", SYS_io_uring_setup},
};

std::array<char, 512> zeros;

long value_of(char* text) {
  static open_how how;
  const std::string_view word = text;
  char* end = nullptr;
  if (word.starts_with("fd:")) {
    return open(text + 3, O_RDONLY | O_CLOEXEC);
  }
  if (word.starts_with("how:")) {
    how.flags = std::strtoul(text + 4, &end, 0);
    how.mode = std::strtoul(end + 1, nullptr, 0);
    return reinterpret_cast<long>(&how);
  }
  if (word == "zeros") {
    return reinterpret_cast<long>(zeros.data());
  }
  const long number = static_cast<long>(std::strtoul(text, &end, 0));
  return *text != '\0' && *end == '\0' ? number : reinterpret_cast<long>(text);
}

}  // namespace

int main(int argc, char** argv) {
  std::array<long, 6> values{};
  for (int i = 2; i < argc && i < 8; ++i) {
    values[static_cast<std::size_t>(i) - 2] = value_of(argv[i]);
  }
  for (const Call& call : calls) {
    if (argc > 1 && call.name == argv[1]) {
      const long result =
          syscall(call.number, values[0], values[1], values[2], values[3], values[4], values[5]);
      std::puts(result < 0 ? strerrorname_np(errno) : "ok");
      return 0;
    }
  }
  std::puts("absent");
  return 0;
}

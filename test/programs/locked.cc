// Runs a command that holds a lock, flock(2), on a file.
//
//   locked FILE COMMAND [ARG ...]

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cstdio>

int main(int argc, char** argv) {
  if (argc < 3) {
    std::fputs("usage: locked FILE COMMAND [ARG ...]\n", stderr);
    return 2;
  }
  const int fd = open(argv[1], O_RDWR | O_CREAT, 0600);
  if (fd < 0 || flock(fd, LOCK_EX | LOCK_NB) < 0) {
    std::perror(argv[1]);
    return 1;
  }
  execvp(argv[2], argv + 2);
  std::perror(argv[2]);
  return 127;
}

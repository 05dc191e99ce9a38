// stopwatch: takes the place of a program and records how long it takes.
//
// Called as a path P it runs P.program with its arguments, and appends the nanoseconds of wall time
// to P.ns, one line per call, from before vfork to after wait. It is small and static, so that it
// adds little itself.

#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

namespace {

int64_t now_ns() {
  timespec time = {};
  clock_gettime(CLOCK_MONOTONIC, &time);
  return static_cast<int64_t>(time.tv_sec) * 1000000000 + time.tv_nsec;
}

}  // namespace

int main(int argc, char** argv) {
  char program[4096];
  char notes[4096];
  char line[32];
  if (argc < 1) return 125;
  snprintf(program, sizeof program, "%s.program", argv[0]);
  snprintf(notes, sizeof notes, "%s.ns", argv[0]);
  int64_t begin = now_ns();
  pid_t child = vfork();
  if (child == 0) {
    execv(program, argv);
    _exit(125);
  }
  int status = 0;
  if (child < 0 || waitpid(child, &status, 0) != child) return 125;
  int length = snprintf(line, sizeof line, "%lld\n", static_cast<long long>(now_ns() - begin));
  int fd = open(notes, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  if (fd < 0 || write(fd, line, static_cast<size_t>(length)) != length) return 125;
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

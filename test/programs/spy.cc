// spy: pid 1 of a container that attaches to each process that enters it, as soon as it may.
//
// The next process has the next number, or one of those after it where it missed some. Prints a
// line for each: "PID EXE UID" is what was traced, the program that it ran and who it was then;
// "PID refused" one that could not be traced as long as it was there.
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <string>

namespace {

std::string path_of(pid_t pid, const char* file) {
  return "/proc/" + std::to_string(pid) + "/" + file;
}

std::string program_of(pid_t pid) {
  char target[256] = "?";
  const ssize_t size = readlink(path_of(pid, "exe").c_str(), target, sizeof target - 1);
  return std::string(target, size < 0 ? 1 : static_cast<size_t>(size));
}

/// The real user id.
long user_of(pid_t pid) {
  FILE* file = fopen(path_of(pid, "status").c_str(), "re");
  if (file == nullptr) return -1;
  char line[256];
  long user = -1;
  while (fgets(line, sizeof line, file) != nullptr) {
    if (strncmp(line, "Uid:", 4) == 0) user = strtol(line + 4, nullptr, 10);
  }
  fclose(file);
  return user;
}

void tell_of(pid_t pid) {
  int status = 0;
  ptrace(PTRACE_INTERRUPT, pid, nullptr, nullptr);
  if (waitpid(pid, &status, __WALL) == pid && WIFSTOPPED(status)) {
    printf("%d %s %ld\n", pid, program_of(pid).c_str(), user_of(pid));
  } else {
    printf("%d ended\n", pid);
  }
  ptrace(PTRACE_DETACH, pid, nullptr, nullptr);
}

/// The number of the newest process of this pid namespace: see proc_loadavg(5).
pid_t newest() {
  FILE* file = fopen("/proc/loadavg", "re");
  int pid = 0;
  if (file == nullptr || fscanf(file, "%*s %*s %*s %*s %d", &pid) != 1) pid = 0;
  if (file != nullptr) fclose(file);
  return pid;
}

/// Waits for a process that is newer than `last`; its number.
pid_t look_at_next(pid_t last) {
  constexpr int ahead = 4;
  constexpr int turns = 256;
  pid_t first = last + 1;
  pid_t seen = -1;
  for (int turn = 0;; ++turn) {
    // Where others had the processor meanwhile, some have come and gone.
    if (turn % turns == 0 && seen < 0) first = std::max(first, newest() + 1);
    for (pid_t pid = first; pid < first + ahead; ++pid) {
      if (ptrace(PTRACE_SEIZE, pid, nullptr, nullptr) == 0) {
        tell_of(pid);
        return pid;
      }
      if (errno != ESRCH) seen = pid;
      if (errno == ESRCH && seen == pid) {
        printf("%d refused\n", pid);
        return pid;
      }
    }
  }
}

}  // namespace

int main() {
  setvbuf(stdout, nullptr, _IOLBF, 0);
  printf("begun\n");
  for (pid_t pid = 1;;) pid = look_at_next(pid);
}

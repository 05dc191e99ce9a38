// swap A B [C D …]: exchanges two names atomically, so that neither is ever missing, each pair in
// turn, again and again, until it is killed. If a name is missing, or a mount is in the way, it
// tries again. Prints a line when it begins.
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

int main(int argc, char** argv) {
  if (argc < 3 || argc % 2 == 0) {
    fprintf(stderr, "usage: swap A B [C D ...]\n");
    return 2;
  }
  if (write(STDOUT_FILENO, "begun\n", 6) != 6) {
    return 1;
  }
  for (;;) {
    for (int i = 1; i < argc; i += 2) {
      if (renameat2(AT_FDCWD, argv[i], AT_FDCWD, argv[i + 1], RENAME_EXCHANGE) != 0 &&
          errno != ENOENT && errno != EBUSY && errno != EXDEV) {
        perror("renameat2");
        return 1;
      }
    }
  }
}

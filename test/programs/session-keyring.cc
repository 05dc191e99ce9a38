// Prints the serial number and the name of this process's session keyring; see keyrings(7).
#include <linux/keyctl.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

int main() {
  char description[512];
  const long serial = syscall(SYS_keyctl, KEYCTL_GET_KEYRING_ID, KEY_SPEC_SESSION_KEYRING, 0);
  const long size = syscall(SYS_keyctl, KEYCTL_DESCRIBE, KEY_SPEC_SESSION_KEYRING, description,
                            sizeof description);
  if (size < 0) {
    perror("keyctl");
    return 1;
  }
  // "keyring;uid;gid;permissions;name"
  printf("%ld %s\n", serial, strrchr(description, ';') + 1);
  return 0;
}

#include "state/file_lock.h"

#include <sys/file.h>

#include <cerrno>

#include "tare/error.h"

namespace tare {

bool lock_file(int fd, int operation, const std::string& path) {
  while (flock(fd, operation) < 0) {
    if (errno == EWOULDBLOCK) {
      return false;
    }
    if (errno != EINTR) {
      throw_errno("flock", path);
    }
  }
  return true;
}

}  // namespace tare

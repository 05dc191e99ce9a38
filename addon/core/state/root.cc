#include "state/root.h"

#include <sys/stat.h>
#include <unistd.h>

#include "tare/error.h"

namespace tare {

std::string state_root_problem(const std::string& root) {
  struct stat status;
  int found = lstat(root.c_str(), &status);
  const auto belongs_to_others = [&] { return status.st_uid != 0 && status.st_uid != geteuid(); };
  if (found == 0 && S_ISLNK(status.st_mode) && !belongs_to_others()) {
    found = stat(root.c_str(), &status);
  }
  if (found < 0) {
    return {};
  }
  if (belongs_to_others()) {
    return "it belongs to uid " + std::to_string(status.st_uid) +
           ", which could change the state of containers";
  }
  if (!S_ISDIR(status.st_mode)) {
    return "it is not a directory";
  }
  // In a sticky directory such as /tmp a user cannot remove or rename another user's entries.
  if ((status.st_mode & (S_IWGRP | S_IWOTH)) != 0 && (status.st_mode & S_ISVTX) == 0) {
    return "other users can write to it and could replace the state of containers";
  }
  return {};
}

void refuse_unsafe_root(const std::string& root) {
  if (const std::string problem = state_root_problem(root); !problem.empty()) {
    throw Error(ErrorKind::invalid_argument,
                "state root " + root + ": " + problem +
                    "; use a directory that belongs to you and that you alone may write to")
        .with_path(root);
  }
}

void refuse_root_of_others(const std::string& root) {
  if (geteuid() != 0) {
    refuse_unsafe_root(root);
  }
}

}  // namespace tare

#include "cgroup/controllers.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <string>
#include <string_view>

#include "cgroup/lists.h"
#include "tare/fd.h"

namespace tare {

namespace {

/// Whether a cgroup other than the root of the tree has processes of its own.
bool has_processes(int directory) {
  // The root has no cgroup.type: it may have both processes and controllers.
  if (faccessat(directory, "cgroup.type", F_OK, 0) != 0) {
    return false;
  }
  const Fd list = open_file(directory, "cgroup.procs", O_RDONLY);
  char first = 0;
  const ssize_t size = read(list.get(), &first, 1);
  // The process list of a threaded cgroup cannot be read.
  return size > 0 || (size < 0 && errno == EOPNOTSUPP);
}

}  // namespace

std::string missing_controllers(std::string_view wanted, std::string_view offered,
                                std::string_view enabled) {
  std::string missing;
  for_each_part(wanted, ' ', [&](std::string_view controller) {
    const std::string word = std::string("+").append(controller);
    if (has_word(offered, controller) && !has_word(enabled, controller) &&
        !has_word(missing, word)) {
      missing.append(missing.empty() ? "" : " ").append(word);
    }
    return true;
  });
  return missing;
}

int enable_controllers(int directory, std::string_view wanted) {
  const std::string missing =
      missing_controllers(wanted, read_file(directory, "cgroup.controllers"),
                          read_file(directory, "cgroup.subtree_control"));
  if (missing.empty()) {
    return 0;
  }
  // The kernel would accept cpu and pids, and turn this cgroup into the root of a threaded subtree,
  // in which no process can be started any more.
  if (has_processes(directory)) {
    return EBUSY;
  }
  int failure = write_kernel_file(directory, "cgroup.subtree_control", missing);
  if (failure != 0) {
    // The kernel enables all or none per write: one failure must not keep the other controllers
    // off.
    failure = 0;
    for_each_part(missing, ' ', [&](std::string_view word) {
      const int errnum = write_kernel_file(directory, "cgroup.subtree_control", word);
      failure = failure == 0 ? errnum : failure;
      return true;
    });
  }
  return failure;
}

}  // namespace tare

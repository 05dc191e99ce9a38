// Locks on files of a state directory, which the kernel releases when their holder ends.
#pragma once

#include <string>

namespace tare {

/// Calls flock(2), and again after a signal. Returns false if another process has the lock
/// (LOCK_NB). Throws `system`.
bool lock_file(int fd, int operation, const std::string& path);

}  // namespace tare

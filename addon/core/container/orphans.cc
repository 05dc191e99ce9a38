// Removes containers that end with the process that made them, once that has ended.
#include <sys/stat.h>
#include <unistd.h>

#include <charconv>
#include <mutex>

#include "container/id_ranges.h"
#include "container/impl.h"
#include "tare/error.h"

namespace tare {
namespace {

/// Identifies a process until the machine reboots: pids are reused.
struct Caller {
  ino_t pid_namespace = 0;
  pid_t pid = 0;
  std::uint64_t start_time = 0;
};

ino_t pid_namespace() {
  const char* const path = "/proc/self/ns/pid";
  struct stat status;
  if (stat(path, &status) < 0) {
    throw_errno("stat", path);
  }
  return status.st_ino;
}

std::string caller_text(const Caller& caller) {
  return std::to_string(caller.pid_namespace) + " " + std::to_string(caller.pid) + " " +
         std::to_string(caller.start_time);
}

/// Returns false if `text` is not in the format of caller_text().
bool parse_caller(std::string_view text, Caller& caller) {
  const char* at = text.data();
  const char* const end = at + text.size();
  const auto read = [&](auto& value) {
    const auto [next, error] = std::from_chars(at, end, value);
    at = next == end ? end : next + 1;
    return error == std::errc();
  };
  return read(caller.pid_namespace) && read(caller.pid) && read(caller.start_time);
}

bool is_orphan(const StateDir& dir, ino_t pid_namespace) {
  Caller caller;
  return parse_caller(dir.journal().caller(), caller) && caller.pid_namespace == pid_namespace &&
         !is_alive(caller.pid, caller.start_time);
}

}  // namespace

std::string this_caller() {
  static std::mutex mutex;
  static pid_t known = 0;
  static std::string& text = *new std::string;  // used until the process ends
  const std::lock_guard lock(mutex);
  // After fork(2) the child is another caller.
  if (const pid_t pid = getpid(); pid != known) {
    text = caller_text({pid_namespace(), pid, start_time_of(pid)});
    known = pid;
  }
  return text;
}

void remove_orphans(const Runtime& runtime) {
  const Runtime resolved = resolve_runtime(runtime);
  const ino_t here = pid_namespace();
  for (const std::string& id : StateDir::list(resolved.root)) {
    try {
      auto dir = StateDir::open(resolved.root, id);
      // If the lock is held, another command works on the container. The check is repeated under
      // the lock: another container may have taken the id since.
      if (dir.has_value() && !dir->remove_if_empty() && is_orphan(*dir, here) && dir->try_lock() &&
          is_orphan(*dir, here)) {
        remove_locked(resolved, std::move(*dir));
      }
    } catch (const Error& error) {
      // A container that cannot be removed must not prevent the removal of the others.
      warn(resolved, error.what());
    }
  }
  release_stale_id_ranges();
}

}  // namespace tare

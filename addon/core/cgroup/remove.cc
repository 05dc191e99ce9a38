// Waits until a cgroup has no process, and removes it.

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <string>
#include <utility>
#include <vector>

#include "cgroup/cgroup.h"
#include "cgroup/events.h"
#include "cgroup/walk.h"
#include "tare/error.h"
#include "tare/pidfd.h"

namespace tare {

namespace {

using Clock = std::chrono::steady_clock;

constexpr auto timeout = std::chrono::seconds(10);

/// Waits until no process is in the cgroup or below it; returns false if `deadline` passes.
///
/// The kernel leaves 10 ms between two notifications of cgroup.events, which would report the end
/// of a shorter-lived container late. A pidfd reports the end of a process at once; by then the
/// process has left the cgroup (do_exit calls cgroup_exit before exit_notify; if a newer kernel
/// does it later, cgroup.events reports it). A process whose end was seen is not polled again: poll
/// would return at once until the kernel has removed it from the list.
bool wait_empty(int directory, Clock::time_point deadline) {
  constexpr std::size_t max_watched = 64;
  const CgroupEvents events(directory);
  std::vector<pid_t> ended;
  while (events.read("populated")) {
    std::vector<pid_t> pids;
    list_processes(directory, pids);
    std::vector<std::pair<pid_t, Fd>> watched;
    std::vector<pollfd> fds{{.fd = events.fd(), .events = POLLPRI, .revents = 0}};
    for (const pid_t pid : pids) {
      if (watched.size() == max_watched) {
        break;
      }
      if (std::find(ended.begin(), ended.end(), pid) == ended.end()) {
        Fd pidfd = open_pidfd(pid);
        if (pidfd) {
          fds.push_back({.fd = pidfd.get(), .events = POLLIN, .revents = 0});
          watched.emplace_back(pid, std::move(pidfd));
        }
      }
    }
    if (!poll_until(fds, deadline)) {
      return false;
    }
    ended.clear();
    for (std::size_t index = 0; index < watched.size(); ++index) {
      if (fds[index + 1].revents != 0) {
        ended.push_back(watched[index].first);
      }
    }
  }
  return true;
}

[[noreturn]] void fail_busy(int directory, const std::string& path) {
  std::vector<pid_t> left;
  list_processes(directory, left);
  Error error(ErrorKind::system,
              path + ": rmdir: EBUSY: " + std::to_string(left.size()) +
                  " process(es) in it did not end within 10 s" +
                  (left.empty() ? "" : ", one is " + std::to_string(left.front())));
  error.with_errno(EBUSY, "rmdir").with_path(path);
  throw error;
}

/// Removes a cgroup by its name; returns false while there are processes or other cgroups in it.
bool try_remove(int parent, const std::string& name, const std::string& path) {
  if (unlinkat(parent, name.c_str(), AT_REMOVEDIR) == 0 || errno == ENOENT) {
    return true;
  }
  if (errno != EBUSY) {
    throw_errno("rmdir", path);
  }
  return false;
}

/// Removes all cgroups below `top`, deepest first, and waits until there is no process in it. Each
/// removal extends the deadline: there may be very many. Errors name `path`.
void remove_below(int top, const std::string& path, Clock::time_point& deadline) {
  struct Level {
    std::string name;
    std::vector<std::string> to_remove;
  };
  TreePosition at(top);
  std::vector<Level> levels;
  levels.push_back({{}, children(at.fd())});
  for (;;) {
    if (!levels.back().to_remove.empty()) {
      std::string name = std::move(levels.back().to_remove.back());
      levels.back().to_remove.pop_back();
      if (try_remove(at.fd(), name, path)) {
        deadline = Clock::now() + timeout;
      } else if (at.go_down(name)) {
        levels.push_back({std::move(name), children(at.fd())});
      }
      continue;
    }
    if (!wait_empty(at.fd(), deadline) || Clock::now() > deadline) {
      fail_busy(at.fd(), path);
    }
    if (levels.size() == 1) {
      return;
    }
    // Try to remove it again: it may have new children by now.
    std::string name = std::move(levels.back().name);
    levels.pop_back();
    at.go_up();
    levels.back().to_remove.push_back(std::move(name));
  }
}

}  // namespace

void Cgroup::wait_until_empty() const {
  if (dir_) {
    wait_empty(dir_.get(), no_deadline);
  }
}

bool Cgroup::empties() const { return !dir_ || wait_empty(dir_.get(), Clock::now() + timeout); }

void Cgroup::remove(bool kills) {
  if (!dir_) {
    return;
  }
  const Fd parent = open_or_none(dir_.get(), "..", O_PATH | O_DIRECTORY);
  if (parent) {
    const std::string name = path_.substr(path_.rfind('/') + 1);
    const bool gone = kills && unlinkat(parent.get(), name.c_str(), AT_REMOVEDIR) == 0;
    if (kills && !gone && errno == EBUSY) {
      kill_all();
    }
    Clock::time_point deadline = Clock::now() + timeout;
    while (!gone && !try_remove(parent.get(), name, shown_path())) {
      remove_below(dir_.get(), shown_path(), deadline);
    }
  } else if (errno != ENOENT) {
    throw_errno("open", shown_path(".."));
  }
  dir_.reset();
  path_.clear();
}

}  // namespace tare

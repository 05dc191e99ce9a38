// Lists, signals, kills and freezes the processes of a cgroup.

#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <string>
#include <unordered_set>
#include <utility>
#include <vector>

#include "cgroup/cgroup.h"
#include "cgroup/events.h"
#include "cgroup/walk.h"
#include "tare/error.h"
#include "tare/pidfd.h"

namespace tare {

namespace {

constexpr auto freeze_timeout = std::chrono::seconds(10);

using Candidates = std::vector<std::pair<pid_t, Fd>>;

/// Signals candidates whose pid is still in `pids`, read after their pidfds were opened: a pid may
/// have been reused by an unrelated process since the first list was read.
void signal_those(const Candidates& candidates, const std::vector<pid_t>& pids, int signal,
                  const std::string& path) {
  const std::unordered_set<pid_t> still(pids.begin(), pids.end());
  for (const auto& [pid, pidfd] : candidates) {
    if (still.contains(pid)) {
      send_signal(pidfd.get(), signal, path);
    }
  }
}

}  // namespace

int Cgroup::required_fd() const {
  if (!dir_) {
    throw Error(
        ErrorKind::unsupported,
        "the container has no cgroup (cgroup v2 is not mounted, or not delegated to this user)");
  }
  return dir_.get();
}

void Cgroup::refuse_in_use() const {
  const std::vector<pid_t> pids = processes();
  if (!pids.empty()) {
    Error error(ErrorKind::already_exists,
                "container's cgroup is not empty: " + std::to_string(pids.size()) +
                    " process(es) found in " + shown_path() + ", one is " +
                    std::to_string(pids.front()) +
                    "; end them, or set linux.cgroupsPath to another path");
    error.with_path(shown_path());
    throw error;
  }
  refuse_frozen();
}

void Cgroup::refuse_frozen() const {
  if (!dir_ || !CgroupEvents(dir_.get()).read("frozen")) {
    return;
  }
  // An ancestor may be the one that was frozen.
  std::string file = shown_path("cgroup.freeze");
  for (std::string path = path_; !path.empty(); path.erase(path.rfind('/'))) {
    const Cgroup above = open({.mount_point = mount_point_}, path);
    if (above && read_if_alive(above.fd(), "cgroup.freeze").starts_with('1')) {
      file = above.shown_path("cgroup.freeze");
      break;
    }
  }
  Error error(ErrorKind::already_exists, "container's cgroup unexpectedly frozen: write 0 to " +
                                             file + ", or set linux.cgroupsPath to another path");
  error.with_path(shown_path());
  throw error;
}

std::vector<pid_t> Cgroup::processes() const {
  std::vector<pid_t> pids;
  if (dir_) {
    list_processes(dir_.get(), pids);
  }
  if (pids.empty() && dir_ && is_threaded(dir_.get())) {
    each_pid(read_if_alive(dir_.get(), "cgroup.threads"), [&pids](pid_t thread) {
      // pidfd_open(2) accepts only the first thread of a process.
      if (open_pidfd(thread)) {
        pids.push_back(thread);
      }
    });
  }
  return pids;
}

bool Cgroup::become_threaded() const {
  return dir_ && read_if_alive(dir_.get(), "cgroup.type").starts_with("domain invalid") &&
         write_kernel_file(dir_.get(), "cgroup.type", "threaded") == 0;
}

void Cgroup::kill_all() {
  const int errnum = write_kernel_file(required_fd(), "cgroup.kill", "1");
  if (errnum == 0 || errnum == ENODEV) {
    return;
  }
  if (errnum != ENOENT && errnum != EOPNOTSUPP) {
    throw_errno(errnum, "write", shown_path("cgroup.kill"));
  }
  if (errnum == ENOENT && faccessat(dir_.get(), "cgroup.procs", F_OK, 0) < 0) {
    return;  // systemd has removed it already
  }
  // Before Linux 5.14, and in a threaded cgroup. Frozen processes cannot fork, and SIGKILL ends
  // frozen processes too.
  freeze(true);
  signal_all(SIGKILL);
  freeze(false);
}

void Cgroup::signal_all(int signal) {
  required_fd();
  // There may be more processes than this process may have open descriptors.
  constexpr std::size_t max_at_once = 256;
  Candidates candidates;
  const auto signal_candidates = [&] {
    signal_those(candidates, processes(), signal, shown_path());
    candidates.clear();
  };
  for (const pid_t pid : processes()) {
    Fd pidfd = open_pidfd(pid);
    if (pidfd) {
      candidates.emplace_back(pid, std::move(pidfd));
    } else if (errno != ESRCH && errno != EINVAL) {
      throw_errno("pidfd_open", std::to_string(pid));
    }
    if (candidates.size() == max_at_once) {
      signal_candidates();
    }
  }
  signal_candidates();
}

int Cgroup::add(pid_t pid) {
  return write_kernel_file(required_fd(), "cgroup.procs", std::to_string(pid));
}

void Cgroup::freeze(bool frozen) {
  const int directory = required_fd();
  const CgroupEvents events(directory);
  if (const int errnum = write_kernel_file(directory, "cgroup.freeze", frozen ? "1" : "0")) {
    throw_errno(errnum, "write", shown_path("cgroup.freeze"));
  }
  if (!frozen) {
    // Do not wait: processes run as soon as they are scheduled, or stay frozen by an ancestor.
    return;
  }
  const auto deadline = std::chrono::steady_clock::now() + freeze_timeout;
  std::vector<pollfd> fds{{.fd = events.fd(), .events = POLLPRI, .revents = 0}};
  while (!events.read("frozen")) {
    if (!poll_until(fds, deadline)) {
      write_kernel_file(directory, "cgroup.freeze", "0");
      Error error(ErrorKind::system,
                  shown_path() +
                      ": not frozen after 10 s: a process does not stop (state D in ps?); "
                      "the cgroup is thawed again");
      error.with_errno(ETIMEDOUT, "poll").with_path(shown_path());
      throw error;
    }
  }
}

bool Cgroup::frozen() const {
  // Not the value in cgroup.events: a killed process leaves the freezer in order to exit.
  return dir_ && read_if_alive(dir_.get(), "cgroup.freeze").starts_with('1');
}

}  // namespace tare

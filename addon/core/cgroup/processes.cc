// Lists, kills, freezes and waits for the processes of a cgroup, and removes the cgroup.

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <string>
#include <string_view>
#include <unordered_set>
#include <utility>
#include <vector>

#include "cgroup/cgroup.h"
#include "tare/error.h"
#include "tare/pidfd.h"

namespace tare {

namespace {

using Clock = std::chrono::steady_clock;

constexpr auto patience = std::chrono::seconds(10);
constexpr auto no_limit = Clock::time_point::max();

/// Whether the error means that the cgroup was removed: ENOENT for its files by name, ENODEV by
/// descriptor.
bool is_gone(int errnum) { return errnum == ENOENT || errnum == ENODEV; }

/// Returns the names of the direct children of `directory`.
std::vector<std::string> children(int directory) {
  std::vector<std::string> names;
  Fd list = open_or_none(directory, ".", O_RDONLY | O_DIRECTORY);
  DIR* const stream = list ? fdopendir(list.get()) : nullptr;
  if (stream == nullptr) {
    if (is_gone(errno)) {
      return names;
    }
    throw_errno("open", "a cgroup's directory");
  }
  list.release();
  while (const dirent* entry = readdir(stream)) {
    const std::string_view name(entry->d_name);
    if (entry->d_type == DT_DIR && name != "." && name != "..") {
      names.emplace_back(name);
    }
  }
  closedir(stream);
  return names;
}

/// Reads a file of a cgroup. Returns an empty string if the cgroup is gone, or is threaded: its
/// processes are then all in the list of the domain above it.
std::string read_if_alive(int directory, const char* file) {
  Fd fd = open_or_none(directory, file, O_RDONLY);
  if (!fd) {
    if (is_gone(errno)) {
      return {};
    }
    throw_errno("open", file);
  }
  try {
    return read_all(fd.get(), file);
  } catch (const Error& error) {
    if (is_gone(error.errnum()) || error.errnum() == EOPNOTSUPP) {
      return {};
    }
    throw;
  }
}

/// Calls `visit` with each number of a list.
template <typename Visit>
void each_pid(const std::string& list, Visit visit) {
  const char* at = list.data();
  const char* const end = at + list.size();
  while (at < end) {
    pid_t pid = 0;
    at = std::from_chars(at, end, pid).ptr + 1;
    // 0 is a process of a pid namespace that is not visible from this one.
    if (pid > 0) {
      visit(pid);
    }
  }
}

/// Opens a child cgroup; none if it is gone.
Fd open_child(int directory, const std::string& name) {
  Fd child = open_or_none(directory, name.c_str(), O_PATH | O_DIRECTORY);
  if (!child && !is_gone(errno)) {
    throw_errno("open", "the cgroup " + name);
  }
  return child;
}

bool is_threaded(int directory) {
  return read_if_alive(directory, "cgroup.type").starts_with("threaded");
}

/// A position in the tree below a cgroup. A container may nest cgroups to any depth, so this holds
/// one descriptor whatever the depth, and moves by single names: a whole path may be longer than
/// the kernel accepts. cgroup v2 has no renames, so ".." leads back to the parent.
class TreePosition {
 public:
  explicit TreePosition(int top) : top_(top) {}

  /// The cgroup at this position.
  int fd() const noexcept { return here_ ? here_.get() : top_; }
  /// Returns false if the child is gone.
  bool go_down(const std::string& name) {
    Fd child = open_child(fd(), name);
    if (!child) {
      return false;
    }
    here_ = std::move(child);
    ++depth_;
    return true;
  }
  /// Must not be called at the top.
  void go_up() {
    --depth_;
    here_ = depth_ == 0 ? Fd() : open_file(here_.get(), "..", O_PATH | O_DIRECTORY);
  }

 private:
  int top_;
  Fd here_;  ///< none at the top
  std::size_t depth_ = 0;
};

/// Calls `visit` with the descriptor of each cgroup, from `top` downwards.
template <typename Visit>
void each_cgroup(int top, Visit visit) {
  TreePosition at(top);
  visit(at.fd());
  std::vector<std::vector<std::string>> to_visit{children(at.fd())};  // by depth
  for (;;) {
    if (to_visit.back().empty()) {
      to_visit.pop_back();
      if (to_visit.empty()) {
        return;
      }
      at.go_up();
      continue;
    }
    const std::string name = std::move(to_visit.back().back());
    to_visit.back().pop_back();
    if (at.go_down(name)) {
      visit(at.fd());
      to_visit.push_back(children(at.fd()));
    }
  }
}

void list_processes(int top, std::vector<pid_t>& pids) {
  each_cgroup(top, [&pids](int directory) {
    each_pid(read_if_alive(directory, "cgroup.procs"), [&pids](pid_t pid) { pids.push_back(pid); });
  });
}

/// cgroup.events: poll(2) reports POLLPRI when it has changed since it was read.
class Events {
 public:
  explicit Events(int directory) : fd_(open_or_none(directory, "cgroup.events", O_RDONLY)) {
    if (!fd_ && !is_gone(errno)) {
      throw_errno("open", "cgroup.events");
    }
  }

  int fd() const noexcept { return fd_.get(); }

  /// Returns the value of a key; false if the cgroup is gone.
  bool read(std::string_view key) const {
    std::array<char, 256> text;
    ssize_t size = 0;
    do {
      size = fd_ ? pread(fd_.get(), text.data(), text.size(), 0) : 0;
    } while (size < 0 && errno == EINTR);
    if (size < 0 && errno != ENODEV) {
      throw_errno("pread64", "cgroup.events");
    }
    const std::string_view all(text.data(), static_cast<std::size_t>(std::max<ssize_t>(size, 0)));
    const std::size_t at = all.find(key);
    return at != std::string_view::npos && all.substr(at + key.size()).starts_with(" 1");
  }

 private:
  Fd fd_;
};

/// Calls poll(2) until `deadline`; returns false if that passes.
bool poll_until(std::vector<pollfd>& fds, Clock::time_point deadline) {
  for (;;) {
    int timeout = -1;
    if (deadline != no_limit) {
      const auto left =
          std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now()).count();
      timeout = static_cast<int>(std::max<std::int64_t>(left, 0));
    }
    const int ready = poll(fds.data(), fds.size(), timeout);
    if (ready >= 0) {
      return ready > 0;
    }
    if (errno != EINTR) {
      throw_errno("poll", "cgroup.events");
    }
  }
}

/// Waits until no process is in the cgroup or below it; returns false if `deadline` passes.
///
/// The kernel leaves 10 ms between two notifications of cgroup.events, which would report the end
/// of a shorter-lived container late. A pidfd reports the end of a process at once; by then the
/// process has left the cgroup (do_exit calls cgroup_exit before exit_notify; if a newer kernel
/// does it later, cgroup.events reports it). A process whose end was seen is not polled again: poll
/// would return at once until the kernel has removed it from the list.
bool wait_empty(int directory, Clock::time_point deadline) {
  constexpr std::size_t most_watched = 64;
  const Events events(directory);
  std::vector<pid_t> ended;
  while (events.read("populated")) {
    std::vector<pid_t> pids;
    list_processes(directory, pids);
    std::vector<std::pair<pid_t, Fd>> watched;
    std::vector<pollfd> fds{{.fd = events.fd(), .events = POLLPRI, .revents = 0}};
    for (const pid_t pid : pids) {
      if (watched.size() == most_watched) {
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

[[noreturn]] void fail_busy(int directory, const std::string& place) {
  std::vector<pid_t> left;
  list_processes(directory, left);
  Error error(ErrorKind::system,
              place + ": rmdir: EBUSY: " + std::to_string(left.size()) +
                  " process(es) in it did not end within 10 s" +
                  (left.empty() ? "" : ", one is " + std::to_string(left.front())));
  error.with_errno(EBUSY, "rmdir").with_path(place);
  throw error;
}

/// Removes a cgroup by its name; returns false while there are processes or other cgroups in it.
bool try_remove(int parent, const std::string& name, const std::string& place) {
  if (unlinkat(parent, name.c_str(), AT_REMOVEDIR) == 0 || errno == ENOENT) {
    return true;
  }
  if (errno != EBUSY) {
    throw_errno("rmdir", place);
  }
  return false;
}

/// Removes all cgroups below `top`, deepest first, and waits until there is no process in it. Each
/// removal extends the deadline: there may be very many. Errors name `place`.
void remove_below(int top, const std::string& place, Clock::time_point& deadline) {
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
      if (try_remove(at.fd(), name, place)) {
        deadline = Clock::now() + patience;
      } else if (at.go_down(name)) {
        levels.push_back({std::move(name), children(at.fd())});
      }
      continue;
    }
    if (!wait_empty(at.fd(), deadline) || Clock::now() > deadline) {
      fail_busy(at.fd(), place);
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

using Candidates = std::vector<std::pair<pid_t, Fd>>;

/// Signals candidates whose pid is still in `pids`, read after their pidfds were opened: a pid may
/// have been reused by an unrelated process since the first list was read.
void signal_those(const Candidates& candidates, const std::vector<pid_t>& pids, int signal,
                  const std::string& place) {
  const std::unordered_set<pid_t> still(pids.begin(), pids.end());
  for (const auto& [pid, pidfd] : candidates) {
    if (still.contains(pid)) {
      send_signal(pidfd.get(), signal, place);
    }
  }
}

}  // namespace

int Cgroup::required_fd() const {
  if (!dir_) {
    throw Error(ErrorKind::unsupported,
                "the container has no cgroup (cgroup v2 is not there, or not for this user)");
  }
  return dir_.get();
}

void Cgroup::refuse_in_use() const {
  const std::vector<pid_t> pids = processes();
  if (!pids.empty()) {
    Error error(ErrorKind::already_exists,
                "container's cgroup is not empty: " + std::to_string(pids.size()) +
                    " process(es) found in " + place() + ", one is " +
                    std::to_string(pids.front()) +
                    "; end them, or set linux.cgroupsPath to another place");
    error.with_path(place());
    throw error;
  }
  refuse_frozen();
}

void Cgroup::refuse_frozen() const {
  if (!dir_ || !Events(dir_.get()).read("frozen")) {
    return;
  }
  // An ancestor may be the one that was frozen.
  std::string file = place("cgroup.freeze");
  for (std::string path = path_; !path.empty(); path.erase(path.rfind('/'))) {
    const Cgroup above = open({.mount_point = mount_point_}, path);
    if (above && read_if_alive(above.fd(), "cgroup.freeze").starts_with('1')) {
      file = above.place("cgroup.freeze");
      break;
    }
  }
  Error error(ErrorKind::already_exists, "container's cgroup unexpectedly frozen: write 0 to " +
                                             file + ", or set linux.cgroupsPath to another place");
  error.with_path(place());
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
    throw_errno(errnum, "write", place("cgroup.kill"));
  }
  if (errnum == ENOENT && faccessat(dir_.get(), "cgroup.procs", F_OK, 0) < 0) {
    return;  // systemd has removed it already
  }
  // Before Linux 5.14, and in a threaded cgroup. Frozen processes cannot fork, and SIGKILL ends
  // them all the same.
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
    signal_those(candidates, processes(), signal, place());
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
  const Events events(directory);
  if (const int errnum = write_kernel_file(directory, "cgroup.freeze", frozen ? "1" : "0")) {
    throw_errno(errnum, "write", place("cgroup.freeze"));
  }
  if (!frozen) {
    // Do not wait: processes run as soon as they are scheduled, or stay frozen by an ancestor.
    return;
  }
  const Clock::time_point deadline = Clock::now() + patience;
  std::vector<pollfd> fds{{.fd = events.fd(), .events = POLLPRI, .revents = 0}};
  while (!events.read("frozen")) {
    if (!poll_until(fds, deadline)) {
      write_kernel_file(directory, "cgroup.freeze", "0");
      Error error(ErrorKind::system,
                  place() +
                      ": not frozen after 10 s, a process does not stop (state D of ps?); "
                      "they go on as before");
      error.with_errno(ETIMEDOUT, "poll").with_path(place());
      throw error;
    }
  }
}

bool Cgroup::frozen() const {
  // Not the value in cgroup.events: a killed process leaves the freezer in order to exit.
  return dir_ && read_if_alive(dir_.get(), "cgroup.freeze").starts_with('1');
}

void Cgroup::wait_until_empty() const {
  if (dir_) {
    wait_empty(dir_.get(), no_limit);
  }
}

bool Cgroup::empties() const { return !dir_ || wait_empty(dir_.get(), Clock::now() + patience); }

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
    Clock::time_point deadline = Clock::now() + patience;
    while (!gone && !try_remove(parent.get(), name, place())) {
      remove_below(dir_.get(), place(), deadline);
    }
  } else if (errno != ENOENT) {
    throw_errno("open", place(".."));
  }
  dir_.reset();
  path_.clear();
}

}  // namespace tare

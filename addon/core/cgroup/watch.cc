#include <fcntl.h>
#include <sys/inotify.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <string>
#include <string_view>

#include "cgroup/lists.h"
#include "tare/cgroup_watch.h"
#include "tare/error.h"

namespace tare {

namespace {

/// Opens a file of the cgroup and watches it for changes; none if it does not exist.
Fd watch_file(int inotify, int directory, const char* name) {
  Fd file = open_or_none(directory, name, O_RDONLY);
  if (!file) {
    if (errno == ENOENT || errno == ENODEV) {
      return file;
    }
    throw_errno("open", name);
  }
  // Watch by descriptor: the tree may not be mounted, so the file may have no path.
  const std::string path = "/proc/self/fd/" + std::to_string(file.get());
  if (inotify_add_watch(inotify, path.c_str(), IN_MODIFY) < 0) {
    throw_errno("inotify_add_watch", name);
  }
  return file;
}

/// Returns the value of a key; `otherwise` if the file, or the cgroup, is gone.
std::uint64_t value_of(const Fd& file, std::string_view key, std::uint64_t otherwise) {
  std::array<char, 512> text;
  const ssize_t size = file ? pread(file.get(), text.data(), text.size(), 0) : 0;
  std::uint64_t value = otherwise;
  for_each_part(std::string_view(text.data(), static_cast<std::size_t>(std::max<ssize_t>(size, 0))),
                '\n', [&](std::string_view line) {
                  const bool found =
                      line.starts_with(key) && line.substr(key.size()).starts_with(' ');
                  if (found) {
                    std::from_chars(line.data() + key.size() + 1, line.data() + line.size(), value);
                  }
                  return !found;
                });
  return value;
}

}  // namespace

CgroupWatch::CgroupWatch(int directory) : inotify_(inotify_init1(IN_CLOEXEC | IN_NONBLOCK)) {
  if (!inotify_) {
    throw_errno("inotify_init1");
  }
  events_ = watch_file(inotify_.get(), directory, "cgroup.events");
  memory_events_ = watch_file(inotify_.get(), directory, "memory.events");
  oom_kills_ = value_of(memory_events_, "oom_kill", 0);
}

CgroupEvent CgroupWatch::take() {
  // The events are discarded: the files say more.
  std::array<char, 1024> ignored;
  while (read(inotify_.get(), ignored.data(), ignored.size()) > 0) {
  }
  CgroupEvent event;
  // Read in this order: an OOM kill that ended the last process must not be missed.
  event.ended = value_of(events_, "populated", 0) == 0;
  const std::uint64_t oom_kills = value_of(memory_events_, "oom_kill", oom_kills_);
  event.oom_kills = oom_kills - std::min(oom_kills, oom_kills_);
  oom_kills_ = oom_kills;
  return event;
}

}  // namespace tare

#include "state/journal.h"

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <climits>
#include <cstddef>
#include <string_view>
#include <utility>

#include "base/process_stat.h"
#include "state/directory.h"
#include "tare/error.h"
#include "tare/pidfd.h"

namespace tare {
namespace {

constexpr const char* rdt_link = "resctrl";
constexpr const char* root_link = "root";
constexpr const char* root_mount_link = "root-mount";
/// The name is older than the class; containers of other versions of tare have it.
constexpr const char* blocking_child_link = "awaited";

std::string rdt_name(std::size_t index) { return rdt_link + std::to_string(index); }

/// Returns 0 where there are no digits.
std::uint64_t number(std::string_view digits) {
  std::uint64_t value = 0;
  std::from_chars(digits.data(), digits.data() + digits.size(), value);
  return value;
}

}  // namespace

void Journal::note(const std::string& name, const std::string& text) const {
  if (symlinkat(text.c_str(), dir_.fd(), name.c_str()) < 0) {
    throw_errno("symlinkat", dir_.path() + "/" + name);
  }
}

std::string Journal::read(const std::string& name) const {
  std::string text(PATH_MAX, '\0');
  const ssize_t size = readlinkat(dir_.fd(), name.c_str(), text.data(), text.size());
  if (size < 0 && errno != ENOENT && errno != EINVAL) {
    throw_errno("readlinkat", dir_.path() + "/" + name);
  }
  text.resize(size < 0 ? 0 : static_cast<std::size_t>(size));
  return text;
}

// The cgroup's path begins with a slash, and `caller` contains none.
void Journal::note_origin(const std::string& caller, const std::string& cgroup) const {
  note(origin_link, caller + cgroup);
}

void Journal::forget_cgroup() const {
  const std::string noted = caller();
  unlinkat(dir_.fd(), origin_link, 0);
  if (!noted.empty()) {
    note(origin_link, noted);
  }
}

std::string Journal::cgroup() const {
  const std::string text = read(origin_link);
  std::string path = text.substr(std::min(text.find('/'), text.size()));
  return is_cgroup_path(path) ? path : std::string();
}

std::string Journal::caller() const {
  const std::string text = read(origin_link);
  return text.substr(0, text.find('/'));
}

void Journal::note_rdt(const std::string& directory) const {
  note(rdt_name(rdt().size()), directory);
}

void Journal::forget_rdt() const {
  if (const std::size_t count = rdt().size(); count > 0) {
    unlinkat(dir_.fd(), rdt_name(count - 1).c_str(), 0);
  }
}

std::vector<std::string> Journal::rdt() const {
  std::vector<std::string> directories;
  for (;;) {
    std::string next = read(rdt_name(directories.size()));
    if (next.empty()) {
      std::ranges::reverse(directories);
      return directories;
    }
    directories.push_back(std::move(next));
  }
}

void Journal::note_blocking_child(pid_t pid) const {
  forget_blocking_child();
  note(blocking_child_link, std::to_string(pid) + " " + std::to_string(start_time_of(pid)));
}

void Journal::forget_blocking_child() const noexcept {
  unlinkat(dir_.fd(), blocking_child_link, 0);
}

std::string Journal::blocking_child() const { return read(blocking_child_link); }

void Journal::kill_blocking_child() const {
  const std::string text = blocking_child();
  const std::size_t space = text.find(' ');
  if (space == std::string::npos) {
    return;
  }
  const std::string_view view = text;
  const auto pid = static_cast<pid_t>(number(view.substr(0, space)));
  if (const Fd process = open_process(pid, number(view.substr(space + 1)))) {
    try_signal(process.get(), SIGKILL);
  }
}

void Journal::note_root(const RootMount& before) const {
  note(root_link, std::to_string(before.before) + " " + before.path);
}

void Journal::note_root_mount(std::uint64_t mount) const {
  note(root_mount_link, std::to_string(mount));
}

std::optional<RootMount> Journal::root() const {
  const std::string text = read(root_link);
  const std::size_t space = text.find(' ');
  if (space == std::string::npos) {
    return std::nullopt;
  }
  return RootMount{text.substr(space + 1), number(std::string_view(text).substr(0, space)),
                   number(read(root_mount_link))};
}

}  // namespace tare

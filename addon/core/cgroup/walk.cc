#include "cgroup/walk.h"

#include <dirent.h>
#include <fcntl.h>

#include <cerrno>
#include <string_view>
#include <utility>

#include "tare/error.h"

namespace tare {

bool is_gone(int errnum) noexcept { return errnum == ENOENT || errnum == ENODEV; }

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

bool is_threaded(int directory) {
  return read_if_alive(directory, "cgroup.type").starts_with("threaded");
}

namespace {

/// Opens a child cgroup; none if it is gone.
Fd open_child(int directory, const std::string& name) {
  Fd child = open_or_none(directory, name.c_str(), O_PATH | O_DIRECTORY);
  if (!child && !is_gone(errno)) {
    throw_errno("open", "the cgroup " + name);
  }
  return child;
}

}  // namespace

bool TreePosition::go_down(const std::string& name) {
  Fd child = open_child(fd(), name);
  if (!child) {
    return false;
  }
  here_ = std::move(child);
  ++depth_;
  return true;
}

void TreePosition::go_up() {
  --depth_;
  here_ = depth_ == 0 ? Fd() : open_file(here_.get(), "..", O_PATH | O_DIRECTORY);
}

namespace {

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

}  // namespace

void list_processes(int top, std::vector<pid_t>& pids) {
  each_cgroup(top, [&pids](int directory) {
    each_pid(read_if_alive(directory, "cgroup.procs"), [&pids](pid_t pid) { pids.push_back(pid); });
  });
}

}  // namespace tare

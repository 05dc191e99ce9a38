#include "state/directory.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <thread>

#include "json/json.h"
#include "state/file_lock.h"
#include "state/root.h"
#include "tare/error.h"
#include "tare/validate.h"

namespace tare {
namespace {

constexpr const char* state_file = "state.json";
constexpr const char* config_file = "config.json";
constexpr const char* resources_file = "resources.json";
constexpr const char* added_mounts_file = "mounts.json";
/// The start of an error's context; the container's directory follows.
constexpr std::string_view keeping = "keep the state in";

/// Whether an entry of the directory `parent` is a directory itself. Not every file system has the
/// type in the entry (readdir(3), DT_UNKNOWN).
bool is_directory(int parent, const dirent& entry) {
  if (entry.d_type != DT_UNKNOWN) {
    return entry.d_type == DT_DIR;
  }
  struct stat status{};
  return fstatat(parent, entry.d_name, &status, AT_SYMLINK_NOFOLLOW) == 0 &&
         S_ISDIR(status.st_mode);
}

void remove_tree(int parent, const std::string& name, const std::string& shown) {
  const auto dir = open_if_exists(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
  if (!dir.has_value()) {
    return;
  }
  Fd duplicate(fcntl(dir->get(), F_DUPFD_CLOEXEC, 0));
  DIR* stream = fdopendir(duplicate.get());
  if (stream == nullptr) {
    throw_errno("opendir", shown);
  }
  duplicate.release();
  std::vector<std::pair<std::string, bool>> entries;
  while (const dirent* entry = readdir(stream)) {
    const std::string child = entry->d_name;
    if (child != "." && child != "..") {
      entries.emplace_back(child, is_directory(dir->get(), *entry));
    }
  }
  closedir(stream);
  for (const auto& [child, directory] : entries) {
    if (directory) {
      remove_tree(dir->get(), child, shown);
    } else if (unlinkat(dir->get(), child.c_str(), 0) < 0 && errno != ENOENT) {
      throw_errno("unlink", shown + "/" + child);
    }
  }
  if (unlinkat(parent, name.c_str(), AT_REMOVEDIR) < 0 && errno != ENOENT) {
    throw_errno("rmdir", shown);
  }
}

[[noreturn]] void refuse_existing(const StateDir& dir, const std::string& root) {
  throw Error(ErrorKind::already_exists,
              "container with given ID already exists: " + dir.id() + " (in " + root + ")")
      .with_path(dir.path());
}

/// Whether a directory that has not been read yet is empty.
bool is_empty(const StateDir& dir) {
  // "." and ".." come first on every file system that has them; a name has at most 255 bytes.
  alignas(8) std::array<char, 4096> entries;
  std::size_t count = 0;
  const long size = syscall(SYS_getdents64, dir.fd(), entries.data(), entries.size());
  if (size < 0) {
    throw_errno("getdents64", dir.path());
  }
  for (long at = 0; at < size;) {
    // struct linux_dirent64: d_ino, d_off, d_reclen, d_type, d_name
    std::uint16_t length = 0;
    std::memcpy(&length, entries.data() + at + 16, sizeof length);
    const std::string_view name(entries.data() + at + 19);
    count += static_cast<std::size_t>(name != "." && name != "..");
    at += length;
  }
  return count == 0;
}

}  // namespace

StateDir StateDir::create(const std::string& root, const std::string& id) {
  validate_id(id);
  StateDir state;
  state.root_ = root;
  state.id_ = id;
  // Other processes may remove an empty directory before it is locked, but not forever unless they
  // mean to.
  for (int tries = 0; tries < 16; ++tries) {
    state.make();
    try {
      if (state.take()) {
        return state;
      }
    } catch (const Error& error) {
      if (error.kind() == ErrorKind::system) {
        rmdir(state.path().c_str());
      }
      throw;
    }
  }
  throw Error(ErrorKind::bad_status, "container " + id + " was deleted while it was being created")
      .with_path(state.path());
}

void StateDir::make() const {
  struct stat status;
  if (lstat(root_.c_str(), &status) < 0 && errno == ENOENT) {
    make_directories(root_);
  }
  refuse_unsafe_root(root_);
  const std::string directory = path();
  const int made = mkdir(directory.c_str(), 0700);
  if (made < 0 && errno == EEXIST) {
    refuse_existing(*this, root_);
  }
  if (made < 0) {
    throw_errno("mkdir", directory);
  }
}

bool StateDir::take() {
  auto dir = open_if_exists(AT_FDCWD, path(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
  if (!dir.has_value()) {
    return false;
  }
  dir_ = std::move(*dir);
  if (!lock()) {
    return false;
  }
  // `delete --force` may have removed the directory before it was locked, and another create() may
  // have made this one.
  if (!is_empty(*this)) {
    refuse_existing(*this, root_);
  }
  return true;
}

bool StateDir::remove_if_empty() {
  const bool removed = try_lock() && is_empty(*this) && rmdir(path().c_str()) == 0;
  unlock();
  return removed;
}

std::optional<StateDir> StateDir::open(const std::string& root, const std::string& id) {
  validate_id(id);
  StateDir state;
  state.root_ = root;
  state.id_ = id;
  refuse_root_of_others(root);
  const std::string path = state.path();
  auto dir = open_if_exists(AT_FDCWD, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
  if (!dir.has_value()) {
    // A directory that has appeared since belongs to a container that did not exist when this was
    // called.
    struct stat status;
    if (lstat(path.c_str(), &status) == 0 && !S_ISDIR(status.st_mode)) {
      throw Error(ErrorKind::bad_status,
                  path +
                      ": not a directory, so not a container's state; remove it with `delete "
                      "--force`")
          .with_path(path);
    }
    return std::nullopt;
  }
  state.dir_ = std::move(*dir);
  return state;
}

bool StateDir::remove_stray(const std::string& root, const std::string& id) {
  validate_id(id);
  return unlink((root + "/" + id).c_str()) == 0;
}

std::vector<std::string> StateDir::list(const std::string& root) {
  std::vector<std::string> ids;
  refuse_root_of_others(root);
  DIR* stream = opendir(root.c_str());
  if (stream == nullptr) {
    if (errno == ENOENT) {
      return ids;
    }
    throw_errno("opendir", root);
  }
  while (const dirent* entry = readdir(stream)) {
    const std::string name = entry->d_name;
    // No id contains "@": such names belong to the root itself (the seccomp cache).
    if (name.find('@') == std::string::npos && name != "." && name != ".." &&
        is_directory(dirfd(stream), *entry)) {
      ids.push_back(name);
    }
  }
  closedir(stream);
  std::ranges::sort(ids);
  return ids;
}

StateDir StateDir::reopen() const {
  StateDir state;
  state.root_ = root_;
  state.id_ = id_;
  state.dir_ = open_file(dir_.get(), ".", O_RDONLY | O_DIRECTORY);
  return state;
}

bool StateDir::lock() {
  lock_file(dir_.get(), LOCK_EX, path());
  return exists();
}

bool StateDir::try_lock() { return lock_file(dir_.get(), LOCK_EX | LOCK_NB, path()) && exists(); }

bool StateDir::exists() const {
  struct stat status;
  if (fstat(dir_.get(), &status) < 0) {
    throw_errno("fstat", path());
  }
  return status.st_nlink > 0;
}

void StateDir::unlock() noexcept { flock(dir_.get(), LOCK_UN); }

bool StateDir::lock_by_force(std::chrono::milliseconds timeout) {
  constexpr std::chrono::milliseconds longest(10);
  std::chrono::milliseconds pause(1);
  std::string last;
  auto since = std::chrono::steady_clock::now();
  while (!try_lock()) {
    if (!exists()) {
      return false;
    }
    const auto now = std::chrono::steady_clock::now();
    std::string child = journal().blocking_child();
    if (child != last) {
      last = std::move(child);
      since = now;
    } else if (now - since >= timeout) {
      journal().kill_blocking_child();
    }
    std::this_thread::sleep_for(pause);
    pause = std::min(2 * pause, longest);
  }
  return true;
}

std::string StateDir::make_notify_directory() {
  // The container's user, whatever its uid, must reach the socket in it.
  if (mkdirat(dir_.get(), "notify", 0755) < 0) {
    throw_errno("mkdir", path() + "/notify");
  }
  // Independent of the caller's umask.
  if (fchmodat(dir_.get(), "notify", 0755, 0) < 0) {
    throw_errno("fchmodat", path() + "/notify");
  }
  return path() + "/notify";
}

void StateDir::write(const StateRecord& record) {
  const std::string directory = path();
  const ErrorContext context(keeping, directory);
  write_file_atomically(dir_.get(), state_file, record_text(record));
}

namespace {

// Whatever file is there: open(2) does not block (on a FIFO) and follows no symlink.
constexpr int read_flags = O_RDONLY | O_NOFOLLOW | O_NONBLOCK;

std::optional<std::string> read_kept_if_exists(const StateDir& dir, const char* name) {
  const std::string directory = dir.path();
  const ErrorContext context("read the state in", directory);
  const std::optional<Fd> file = open_if_exists(dir.fd(), name, read_flags);
  return file.has_value() ? std::optional(read_all(file->get(), name)) : std::nullopt;
}

}  // namespace

std::optional<StateRecord> StateDir::read() const {
  auto text = read_kept_if_exists(*this, state_file);
  if (!text.has_value()) {
    return std::nullopt;
  }
  return parse_record(std::move(*text), path() + "/" + state_file, id_);
}

bool StateDir::is_anothers() const {
  try {
    auto text = read_kept_if_exists(*this, state_file);
    if (!text.has_value()) {
      return false;
    }
    const json::Document document(std::move(*text), state_file);
    return document.root().at("id").as_string() != id_;
  } catch (const Error&) {
    return false;
  }
}

void StateDir::write_config(std::string_view config) {
  const std::string directory = path();
  const ErrorContext context(keeping, directory);
  const Fd file = open_file(dir_.get(), config_file, O_WRONLY | O_CREAT | O_EXCL, 0600);
  write_all(file.get(), config, config_file);
}

std::optional<std::string> StateDir::read_config() const {
  auto config = read_kept_if_exists(*this, config_file);
  if (!config.has_value() && read().has_value()) {
    throw_errno(ENOENT, "open", path() + "/" + config_file);
  }
  return config;
}

bool StateDir::has_config() const {
  struct stat status;
  return fstatat(dir_.get(), config_file, &status, AT_SYMLINK_NOFOLLOW) == 0;
}

void StateDir::write_resources(std::string_view resources) {
  const std::string directory = path();
  const ErrorContext context(keeping, directory);
  write_file_atomically(dir_.get(), resources_file, std::string(resources));
}

std::optional<std::string> StateDir::read_resources() const {
  return read_kept_if_exists(*this, resources_file);
}

void StateDir::write_added_mounts(std::string_view mounts) {
  const std::string directory = path();
  const ErrorContext context(keeping, directory);
  write_file_atomically(dir_.get(), added_mounts_file, std::string(mounts));
}

std::optional<std::string> StateDir::read_added_mounts() const {
  return read_kept_if_exists(*this, added_mounts_file);
}

void StateDir::remove() {
  // Removes what most containers leave, without listing the directory.
  for (const char* name : {state_file, config_file, Journal::origin_link}) {
    unlinkat(dir_.get(), name, 0);
  }
  if (rmdir(path().c_str()) < 0) {
    remove_tree(AT_FDCWD, path(), path());
  }
}

}  // namespace tare

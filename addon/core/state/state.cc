#include "state/state.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <climits>
#include <cstring>
#include <thread>

#include "base/process_stat.h"
#include "json/json.h"
#include "tare/error.h"
#include "tare/pidfd.h"
#include "tare/validate.h"

namespace tare {
namespace {

constexpr const char* state_file = "state.json";
constexpr const char* config_file = "config.json";
constexpr const char* resources_file = "resources.json";
constexpr const char* added_mounts_file = "mounts.json";
constexpr const char* gate_fifo = "exec.fifo";
constexpr const char* barred_fifo = "paused.fifo";
constexpr const char* origin_link = "cgroup";
constexpr const char* rdt_link = "resctrl";
constexpr const char* root_link = "root";
constexpr const char* awaited_link = "awaited";
constexpr const char* root_mount_link = "root-mount";
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

}  // namespace

namespace {

void refuse_unsafe_root(const std::string& root) {
  if (const std::string problem = state_root_problem(root); !problem.empty()) {
    throw Error(ErrorKind::invalid_argument,
                "state root " + root + ": " + problem +
                    "; use a directory that belongs to you and that you alone may write to")
        .with_path(root);
  }
}

/// Another user's directory is not to be trusted. Root may look at that of any user.
void refuse_root_of_others(const std::string& root) {
  if (geteuid() != 0) {
    refuse_unsafe_root(root);
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

std::string state_root_problem(const std::string& root) {
  struct stat status;
  int found = lstat(root.c_str(), &status);
  const auto belongs_to_others = [&] { return status.st_uid != 0 && status.st_uid != geteuid(); };
  if (found == 0 && S_ISLNK(status.st_mode) && !belongs_to_others()) {
    found = stat(root.c_str(), &status);
  }
  if (found < 0) {
    return {};
  }
  if (belongs_to_others()) {
    return "it belongs to uid " + std::to_string(status.st_uid) +
           ", by which containers could be changed";
  }
  if (!S_ISDIR(status.st_mode)) {
    return "it is not a directory";
  }
  // In a sticky directory such as /tmp a user cannot remove or rename another user's entries.
  if ((status.st_mode & (S_IWGRP | S_IWOTH)) != 0 && (status.st_mode & S_ISVTX) == 0) {
    return "others may write to it, and so replace containers";
  }
  return {};
}

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
                      ": is no directory, and so no container's state; remove it with `delete "
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

StateDir StateDir::again() const {
  StateDir state;
  state.root_ = root_;
  state.id_ = id_;
  state.dir_ = open_file(dir_.get(), ".", O_RDONLY | O_DIRECTORY);
  return state;
}

namespace {

/// Calls flock(2), and again after a signal. Returns false where another process has the lock.
/// Throws `system`.
bool lock_file(int fd, int operation, const std::string& path) {
  while (flock(fd, operation) < 0) {
    if (errno == EWOULDBLOCK) {
      return false;
    }
    if (errno != EINTR) {
      throw_errno("flock", path);
    }
  }
  return true;
}

}  // namespace

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

namespace {

// One system call makes a symlink, completely or not at all.
void note(const StateDir& dir, const std::string& name, const std::string& text) {
  if (symlinkat(text.c_str(), dir.fd(), name.c_str()) < 0) {
    throw_errno("symlinkat", dir.path() + "/" + name);
  }
}

/// Returns 0 where there are no digits.
std::uint64_t number(std::string_view digits) {
  std::uint64_t value = 0;
  std::from_chars(digits.data(), digits.data() + digits.size(), value);
  return value;
}

std::string noted(const StateDir& dir, const std::string& name) {
  std::string text(PATH_MAX, '\0');
  const ssize_t size = readlinkat(dir.fd(), name.c_str(), text.data(), text.size());
  if (size < 0 && errno != ENOENT && errno != EINVAL) {
    throw_errno("readlinkat", dir.path() + "/" + name);
  }
  text.resize(size < 0 ? 0 : static_cast<std::size_t>(size));
  return text;
}

}  // namespace

bool StateDir::lock_by_force(std::chrono::milliseconds patience) {
  constexpr std::chrono::milliseconds longest(10);
  std::chrono::milliseconds pause(1);
  std::string last;
  auto since = std::chrono::steady_clock::now();
  while (!try_lock()) {
    if (!exists()) {
      return false;
    }
    const auto now = std::chrono::steady_clock::now();
    std::string awaited = noted(*this, awaited_link);
    if (awaited != last) {
      last = std::move(awaited);
      since = now;
    } else if (now - since >= patience) {
      kill_awaited();
    }
    std::this_thread::sleep_for(pause);
    pause = std::min(2 * pause, longest);
  }
  return true;
}

// The cgroup's path begins with a slash, and `caller` contains none.
void StateDir::note_origin(const std::string& caller, const std::string& cgroup) {
  note(*this, origin_link, caller + cgroup);
}

void StateDir::forget_cgroup() {
  const std::string caller = noted_caller();
  unlinkat(dir_.get(), origin_link, 0);
  if (!caller.empty()) {
    note(*this, origin_link, caller);
  }
}

std::string StateDir::noted_cgroup() const {
  const std::string text = noted(*this, origin_link);
  std::string path = text.substr(std::min(text.find('/'), text.size()));
  return is_cgroup_path(path) ? path : std::string();
}

std::string StateDir::noted_caller() const {
  const std::string text = noted(*this, origin_link);
  return text.substr(0, text.find('/'));
}

namespace {

std::string rdt_name(std::size_t index) { return rdt_link + std::to_string(index); }

}  // namespace

void StateDir::note_rdt(const std::string& directory) {
  note(*this, rdt_name(noted_rdt().size()), directory);
}

void StateDir::forget_rdt() {
  if (const std::size_t count = noted_rdt().size(); count > 0) {
    unlinkat(dir_.get(), rdt_name(count - 1).c_str(), 0);
  }
}

std::vector<std::string> StateDir::noted_rdt() const {
  std::vector<std::string> directories;
  for (;;) {
    std::string next = noted(*this, rdt_name(directories.size()));
    if (next.empty()) {
      std::ranges::reverse(directories);
      return directories;
    }
    directories.push_back(std::move(next));
  }
}

void StateDir::note_awaited(pid_t pid) {
  forget_awaited();
  note(*this, awaited_link, std::to_string(pid) + " " + std::to_string(start_time_of(pid)));
}

void StateDir::forget_awaited() noexcept { unlinkat(dir_.get(), awaited_link, 0); }

void StateDir::kill_awaited() const {
  const std::string text = noted(*this, awaited_link);
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

Awaited::~Awaited() {
  if (noted_) {
    dir_.forget_awaited();
  }
}

void Awaited::started(pid_t pid) noexcept {
  if (cancellation_ != nullptr) {
    cancellation_->await_hook(pid);
  }
  noted_ = true;
  try {
    dir_.note_awaited(pid);
  } catch (const Error&) {
    // Without the note, the process is merely not killed: see the header.
  }
}

std::function<void(pid_t)> Awaited::note() {
  return [this](pid_t pid) { started(pid); };
}

void StateDir::note_root(const RootMount& before) {
  note(*this, root_link, std::to_string(before.before) + " " + before.path);
}

void StateDir::note_root_mount(std::uint64_t mount) {
  note(*this, root_mount_link, std::to_string(mount));
}

std::optional<RootMount> StateDir::noted_root() const {
  const std::string text = noted(*this, root_link);
  const std::size_t space = text.find(' ');
  if (space == std::string::npos) {
    return std::nullopt;
  }
  return RootMount{text.substr(space + 1), number(std::string_view(text).substr(0, space)),
                   number(noted(*this, root_mount_link))};
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
  const std::string place = path();
  const Doing doing(keeping, place);
  write_file_atomically(dir_.get(), state_file, record_text(record));
}

namespace {

// Whatever file is there: open(2) does not block (on a FIFO) and follows no symlink.
constexpr int read_flags = O_RDONLY | O_NOFOLLOW | O_NONBLOCK;

std::optional<std::string> read_kept_if_exists(const StateDir& dir, const char* name) {
  const std::string place = dir.path();
  const Doing doing("read the state in", place);
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
  const std::string place = path();
  const Doing doing(keeping, place);
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
  const std::string place = path();
  const Doing doing(keeping, place);
  write_file_atomically(dir_.get(), resources_file, std::string(resources));
}

std::optional<std::string> StateDir::read_resources() const {
  return read_kept_if_exists(*this, resources_file);
}

void StateDir::write_added_mounts(std::string_view mounts) {
  const std::string place = path();
  const Doing doing(keeping, place);
  write_file_atomically(dir_.get(), added_mounts_file, std::string(mounts));
}

std::optional<std::string> StateDir::read_added_mounts() const {
  return read_kept_if_exists(*this, added_mounts_file);
}

void StateDir::make_start_gate() {
  if (mkfifoat(dir_.get(), gate_fifo, 0600) < 0) {
    throw_errno("mkfifo", path() + "/" + gate_fifo);
  }
}

Fd StateDir::open_start_gate() const {
  Fd gate = open_file(dir_.get(), gate_fifo, O_RDWR);
  // Held as long as init has the FIFO open.
  lock_file(gate.get(), LOCK_EX, path() + "/" + gate_fifo);
  // The smallest capacity of a pipe: a page.
  const int size = fcntl(gate.get(), F_SETPIPE_SZ, 1);
  if (size < 0) {
    throw_errno("fcntl(F_SETPIPE_SZ)", path() + "/" + gate_fifo);
  }
  write_all(gate.get(), std::string(static_cast<std::size_t>(size), '.'), gate_fifo);
  return gate;
}

/// Opens for reading only: another writer would keep start from seeing the FIFO's end.
std::optional<Fd> StateDir::open_held_gate() const {
  const std::string place = path();
  const Doing doing("ask for the start gate in", place);
  std::optional<Fd> gate =
      open_if_exists(dir_.get(), gate_fifo, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
  if (gate.has_value() && lock_file(gate->get(), LOCK_SH | LOCK_NB, gate_fifo)) {
    return std::nullopt;
  }
  return gate;
}

bool StateDir::start_gate_held() const { return open_held_gate().has_value(); }

StartAnswer StateDir::pass_start_gate() {
  std::optional<Fd> gate = open_held_gate();
  if (!gate.has_value()) {
    unbar_start_gate();
    gate = open_held_gate();
  }
  std::string bytes;
  std::size_t fill = 0;
  if (gate.has_value()) {
    if (fcntl(gate->get(), F_SETFL, 0) < 0) {
      throw_errno("fcntl(F_SETFL)", path() + "/" + gate_fifo);
    }
    fill = static_cast<std::size_t>(fcntl(gate->get(), F_GETPIPE_SZ));
    bytes = read_all(gate->get(), gate_fifo);
  }
  if (bytes.size() <= fill) {
    throw Error(ErrorKind::bad_status, "init has left the start gate").with_path(path());
  }
  // gate_passed is missing where init failed at the gate itself.
  StartAnswer result;
  bytes.erase(0, bytes.size() == fill + sizeof result.failure ? fill : fill + 1);
  if (bytes.size() == sizeof result.failure) {
    result.failed = true;
    bytes.copy(reinterpret_cast<char*>(&result.failure), sizeof result.failure);
  }
  return result;
}

void StateDir::bar_start_gate() {
  if (start_gate_held() && renameat(dir_.get(), gate_fifo, dir_.get(), barred_fifo) < 0) {
    throw_errno("rename", path() + "/" + gate_fifo);
  }
}

bool StateDir::start_gate_barred() const noexcept {
  return faccessat(dir_.get(), barred_fifo, F_OK, 0) == 0;
}

void StateDir::unbar_start_gate() const noexcept {
  renameat(dir_.get(), barred_fifo, dir_.get(), gate_fifo);
}

void StateDir::close_start_gate() { unlinkat(dir_.get(), gate_fifo, 0); }

void StateDir::remove() {
  // Removes what most containers leave, without listing the directory.
  for (const char* name : {state_file, config_file, origin_link}) {
    unlinkat(dir_.get(), name, 0);
  }
  if (rmdir(path().c_str()) < 0) {
    remove_tree(AT_FDCWD, path(), path());
  }
}

}  // namespace tare

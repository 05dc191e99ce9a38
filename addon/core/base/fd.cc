#include "tare/fd.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <cstdint>
#include <cstdio>

#include "tare/error.h"

// A flag of memfd_create(2) since Linux 6.3; glibc's headers may be older than the kernel.
#ifndef MFD_EXEC
#define MFD_EXEC 0x0010U
#endif

namespace tare {

namespace {

int open_retrying(int dirfd, const char* path, int flags, mode_t mode = 0) noexcept {
  int raw;
  do {
    raw = openat(dirfd, path, flags | O_CLOEXEC, mode);
  } while (raw < 0 && errno == EINTR);
  return raw;
}

/// Returns a unique name beside `path`: ".NAME.0123456789abcdef".
std::string temporary_beside(const std::string& path) {
  std::uint64_t random = 0;
  while (getrandom(&random, sizeof random, 0) != sizeof random) {
    if (errno != EINTR) {
      throw_errno("getrandom");
    }
  }
  std::array<char, 20> suffix;
  std::snprintf(suffix.data(), suffix.size(), ".%016llx", static_cast<unsigned long long>(random));
  const std::size_t slash = path.rfind('/');
  const std::size_t name = slash == std::string::npos ? 0 : slash + 1;
  return path.substr(0, name) + "." + path.substr(name) + suffix.data();
}

/// Removes a file in the destructor unless `keep` was called.
class Temporary {
 public:
  Temporary(int dirfd, const std::string& path) noexcept : dirfd_(dirfd), path_(path) {}
  ~Temporary() {
    if (!kept_) {
      unlinkat(dirfd_, path_.c_str(), 0);
    }
  }
  Temporary(const Temporary&) = delete;
  Temporary& operator=(const Temporary&) = delete;
  void keep() noexcept { kept_ = true; }

 private:
  int dirfd_;
  const std::string& path_;
  bool kept_ = false;
};

}  // namespace

void Fd::reset() noexcept {
  if (raw_ >= 0) {
    // close(2) frees the descriptor even if it fails; errno is preserved for the caller's earlier
    // error.
    const int saved = errno;
    close(raw_);
    errno = saved;
    raw_ = -1;
  }
}

Fd open_or_none(int dirfd, const char* path, int flags) noexcept {
  return Fd(open_retrying(dirfd, path, flags));
}

Fd open_file(int dirfd, const std::string& path, int flags, mode_t mode) {
  Fd fd(open_retrying(dirfd, path.c_str(), flags, mode));
  if (!fd) {
    throw_errno("open", path);
  }
  return fd;
}

Fd open_resolved(int dirfd, const std::string& path, int flags, std::uint64_t resolve) noexcept {
  open_how how{};
  how.flags = static_cast<decltype(how.flags)>(flags | O_CLOEXEC);
  how.resolve = resolve;
  long raw = -1;
  int disturbed = 0;
  do {
    raw = syscall(SYS_openat2, dirfd, path.c_str(), &how, sizeof how);
  } while (raw < 0 && (errno == EINTR || (errno == EAGAIN && ++disturbed < 100)));
  return Fd(static_cast<int>(raw));
}

std::optional<Fd> open_if_exists(int dirfd, const std::string& path, int flags) {
  Fd fd(open_retrying(dirfd, path.c_str(), flags, 0));
  if (fd) {
    return fd;
  }
  // ESRCH: a file of /proc whose process was reaped while the path was looked up.
  if (errno == ENOENT || errno == ENOTDIR || errno == ESRCH) {
    return std::nullopt;
  }
  throw_errno("open", path);
}

std::string read_all(int fd, std::string_view name, std::size_t limit) {
  struct stat status = {};
  if (fstat(fd, &status) != 0) {
    throw_errno("fstat", name);
  }
  // Files of procfs and pipes report size 0. One byte more than the size lets the first read find
  // the end.
  const auto expected = static_cast<std::size_t>(std::max<off_t>(status.st_size, 0));
  std::string data(std::min(std::max<std::size_t>(expected, 4095), limit) + 1, '\0');
  std::size_t used = 0;
  for (;;) {
    const ssize_t got = read(fd, data.data() + used, data.size() - used);
    if (got < 0) {
      if (errno == EINTR) {
        continue;
      }
      throw_errno("read", name);
    }
    if (got == 0) {
      break;
    }
    used += static_cast<std::size_t>(got);
    if (used > limit) {
      Error error(ErrorKind::invalid_config, std::string(name) + ": larger than " +
                                                 std::to_string(limit) + " bytes; make it smaller");
      error.with_path(name);
      throw error;
    }
    if (used == data.size()) {
      data.resize(std::min(data.size() * 2, limit + 1));
    }
  }
  data.resize(used);
  return data;
}

std::string read_file(int dirfd, const std::string& path) {
  return read_all(open_file(dirfd, path, O_RDONLY).get(), path);
}

std::optional<std::string> read_file_if_exists(int dirfd, const std::string& path) {
  const std::optional<Fd> fd = open_if_exists(dirfd, path, O_RDONLY);
  if (!fd) {
    return std::nullopt;
  }
  try {
    return read_all(fd->get(), path);
  } catch (const Error& error) {
    if (error.errnum() == ESRCH) {
      return std::nullopt;  // a file of /proc whose process has been reaped since
    }
    throw;
  }
}

void write_all(int fd, std::string_view data, std::string_view name) {
  while (!data.empty()) {
    const ssize_t put = write(fd, data.data(), data.size());
    if (put >= 0) {
      data.remove_prefix(static_cast<std::size_t>(put));
    } else if (errno != EINTR) {
      throw_errno("write", name);
    }
  }
}

int write_kernel_file(int dirfd, const char* path, std::string_view data) noexcept {
  const Fd fd(open_retrying(dirfd, path, O_WRONLY, 0));
  if (!fd) {
    return errno;
  }
  ssize_t put;
  do {
    put = write(fd.get(), data.data(), data.size());
  } while (put < 0 && errno == EINTR);
  if (put < 0) {
    return errno;
  }
  // A kernel file takes a value by one write; a partial value would be a different value.
  return static_cast<std::size_t>(put) == data.size() ? 0 : EIO;
}

namespace {

/// Writes an unnamed file and links it when it is complete, so that a process killed before leaves
/// nothing. Returns false if `path` exists, or if the file system does not support unnamed files.
bool write_unnamed(int dirfd, const std::string& path, std::string_view data, mode_t mode) {
  const std::size_t slash = path.rfind('/');
  const std::string directory = slash == std::string::npos ? "." : path.substr(0, slash + 1);
  const Fd fd(open_retrying(dirfd, directory.c_str(), O_TMPFILE | O_WRONLY, mode));
  if (!fd) {
    return false;
  }
  write_all(fd.get(), data, path);
  // Root may link it by its descriptor; other users may since Linux 6.10.
  if (linkat(fd.get(), "", dirfd, path.c_str(), AT_EMPTY_PATH) == 0) {
    return true;
  }
  if (errno == EEXIST) {
    return false;
  }
  const std::string link = "/proc/self/fd/" + std::to_string(fd.get());
  return linkat(AT_FDCWD, link.c_str(), dirfd, path.c_str(), AT_SYMLINK_FOLLOW) == 0;
}

}  // namespace

void write_file_atomically(int dirfd, const std::string& path, std::string_view data, mode_t mode) {
  if (write_unnamed(dirfd, path, data, mode)) {
    return;
  }
  const std::string temporary = temporary_beside(path);
  const int flags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW;
  Fd fd(open_retrying(dirfd, temporary.c_str(), flags, mode));
  if (!fd) {
    throw_errno("open", path);
  }
  Temporary cleanup(dirfd, temporary);
  write_all(fd.get(), data, path);
  fd.reset();
  if (renameat(dirfd, temporary.c_str(), dirfd, path.c_str()) != 0) {
    throw_errno("rename", path);
  }
  cleanup.keep();
}

Fd sealed_memfd(const char* name, std::initializer_list<MemfdPart> parts) {
  const unsigned flags = MFD_CLOEXEC | MFD_ALLOW_SEALING;
  Fd fd(memfd_create(name, flags | MFD_EXEC));
  if (!fd && errno == EINVAL) {
    fd = Fd(memfd_create(name, flags));
  }
  if (!fd) {
    if (errno == EACCES) {
      Error error(ErrorKind::system,
                  "memfd_create: EACCES: the sysctl vm.memfd_noexec is 2, which forbids executable "
                  "memfds; set it to 0 or 1");
      error.with_errno(EACCES, "memfd_create");
      throw error;
    }
    throw_errno("memfd_create", name);
  }
  // pwrite(2) leaves the offset at 0 for readers of the descriptor.
  for (const MemfdPart& part : parts) {
    for (std::size_t done = 0; done < part.data.size();) {
      const ssize_t put = pwrite(fd.get(), part.data.data() + done, part.data.size() - done,
                                 static_cast<off_t>(part.offset + done));
      if (put >= 0) {
        done += static_cast<std::size_t>(put);
      } else if (errno != EINTR) {
        throw_errno("write", name);
      }
    }
  }
  if (fcntl(fd.get(), F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) != 0) {
    throw_errno("fcntl(F_ADD_SEALS)", name);
  }
  return fd;
}

std::string absolute_path(const std::string& path) {
  std::string whole = path;
  if (path.empty() || path.front() != '/') {
    std::array<char, 4096> directory;
    if (getcwd(directory.data(), directory.size()) == nullptr) {
      throw_errno("getcwd");
    }
    whole = std::string(directory.data()) + "/" + path;
  }
  std::string clean;
  for (std::size_t at = 0; at < whole.size();) {
    const std::size_t end = std::min(whole.find('/', at), whole.size());
    const std::string_view part(whole.data() + at, end - at);
    if (part == "..") {
      clean.resize(clean.empty() ? 0 : clean.rfind('/'));
    } else if (!part.empty() && part != ".") {
      clean.append("/").append(part);
    }
    at = end + 1;
  }
  return clean.empty() ? "/" : clean;
}

std::string absolute_path_in(const std::string& directory, const std::string& path) {
  return path.starts_with('/') ? path : absolute_path(directory + "/" + path);
}

std::string read_link(const std::string& path) {
  std::string text(PATH_MAX, '\0');
  const ssize_t size = readlink(path.c_str(), text.data(), text.size());
  text.resize(size < 0 ? 0 : static_cast<std::size_t>(size));
  return text;
}

void make_directories(const std::string& path) {
  if (mkdir(path.c_str(), 0700) == 0 || errno == EEXIST) {
    return;
  }
  const std::size_t slash = path.find_last_of('/');
  if (errno != ENOENT || slash == std::string::npos || slash == 0) {
    throw_errno("mkdir", path);
  }
  make_directories(path.substr(0, slash));
  if (mkdir(path.c_str(), 0700) < 0 && errno != EEXIST) {
    throw_errno("mkdir", path);
  }
}

}  // namespace tare

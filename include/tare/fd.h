/// \file
/// File descriptors with an owner, and the few whole-file operations that the core needs.
#pragma once

#include <fcntl.h>
#include <sys/types.h>

#include <cstddef>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace tare {

/// Owns one file descriptor and closes it. Move-only. Everything opened through this header is
/// O_CLOEXEC.
class Fd {
 public:
  Fd() noexcept = default;
  /// Takes ownership of `raw`; -1 means none.
  explicit Fd(int raw) noexcept : raw_(raw) {}
  Fd(Fd&& other) noexcept : raw_(std::exchange(other.raw_, -1)) {}
  Fd& operator=(Fd&& other) noexcept {
    if (this != &other) {
      reset();
      raw_ = std::exchange(other.raw_, -1);
    }
    return *this;
  }
  Fd(const Fd&) = delete;
  Fd& operator=(const Fd&) = delete;
  ~Fd() { reset(); }

  int get() const noexcept { return raw_; }
  explicit operator bool() const noexcept { return raw_ >= 0; }
  /// Gives ownership to the caller.
  int release() noexcept { return std::exchange(raw_, -1); }
  void reset() noexcept;

 private:
  int raw_ = -1;
};

/// openat(2) with O_CLOEXEC added; throws `system` on failure.
Fd open_file(int dirfd, const std::string& path, int flags, mode_t mode = 0);
/// The same without a descriptor, and errno, on failure.
Fd open_or_none(int dirfd, const char* path, int flags) noexcept;
/// As open_file(); none where the path does not exist (ENOENT, ENOTDIR).
std::optional<Fd> open_if_exists(int dirfd, const std::string& path, int flags);

/// Reads to the end. Throws `system`, or `invalid_config` past `limit` bytes.
std::string read_all(int fd, std::string_view name, std::size_t limit = std::size_t{64} << 20);
std::string read_file(int dirfd, const std::string& path);
std::optional<std::string> read_file_if_exists(int dirfd, const std::string& path);

/// Writes all of `data`; retries EINTR and short writes.
void write_all(int fd, std::string_view data, std::string_view name);
/// One write(2) of `data` to an existing file, as kernel files (cgroup, procfs) want it.
/// Returns 0 or the errno of open or write.
int write_kernel_file(int dirfd, const char* path, std::string_view data) noexcept;
/// Makes or replaces `path` atomically: a file without a name until it is whole, linkat(2); where
/// that cannot be, or `path` is there, a temporary file beside it, then renameat(2). Mode 0600 by
/// default.
void write_file_atomically(int dirfd, const std::string& path, std::string_view data,
                           mode_t mode = 0600);

/// What a memfd holds from `offset` on; what lies between parts is zero.
struct MemfdPart {
  std::size_t offset = 0;
  std::string_view data;
};

/// A sealed memfd (no more writes, growth, shrinking or seals) that holds `parts` and can be
/// executed; see memfd_create(2).
Fd sealed_memfd(const char* name, std::initializer_list<MemfdPart> parts);

/// `path` made absolute against the working directory and freed of `.`, `..` and doubled slashes,
/// without looking at symlinks.
std::string absolute_path(const std::string& path);
/// `path` as it is where that is absolute, else the same against `directory`, itself absolute.
std::string absolute_path_in(const std::string& directory, const std::string& path);
/// What a symlink says; empty where there is none that can be read.
std::string read_link(const std::string& path);
/// Makes every directory of `path` that is missing, 0700. Throws `system`.
void make_directories(const std::string& path);

}  // namespace tare

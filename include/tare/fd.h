/// \file
/// An owning file descriptor, and the few whole-file operations that the core needs.
#pragma once

#include <fcntl.h>
#include <sys/types.h>

#include <cstddef>
#include <cstdint>
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
  /// Transfers ownership to the caller.
  int release() noexcept { return std::exchange(raw_, -1); }
  void reset() noexcept;

 private:
  int raw_ = -1;
};

/// openat(2) with O_CLOEXEC added; throws `system` on failure.
Fd open_file(int dirfd, const std::string& path, int flags, mode_t mode = 0);
/// The same, but returns no descriptor and sets errno on failure.
Fd open_or_none(int dirfd, const char* path, int flags) noexcept;
/// openat2(2) with O_CLOEXEC added; `resolve` are RESOLVE_* flags. Tries again after EINTR, and up
/// to 100 times after EAGAIN, the error when a ".." races with a rename. Returns no descriptor and
/// sets errno on failure.
Fd open_resolved(int dirfd, const std::string& path, int flags, std::uint64_t resolve) noexcept;
/// The same as open_file(); none if the path does not exist (ENOENT, ENOTDIR, and
/// ESRCH for a process that was reaped meanwhile).
std::optional<Fd> open_if_exists(int dirfd, const std::string& path, int flags);

/// Reads to the end. Throws `system`, or `invalid_config` beyond `limit` bytes.
std::string read_all(int fd, std::string_view name, std::size_t limit = std::size_t{64} << 20);
std::string read_file(int dirfd, const std::string& path);
std::optional<std::string> read_file_if_exists(int dirfd, const std::string& path);

/// Writes all of `data`; retries EINTR and short writes.
void write_all(int fd, std::string_view data, std::string_view name);
/// Writes `data` to an existing file by one write(2), as kernel files (cgroup, procfs) require.
/// Returns 0 or the errno of open or write.
int write_kernel_file(int dirfd, const char* path, std::string_view data) noexcept;
/// Creates or replaces `path` atomically: writes an unnamed file and links it (linkat(2)); if that
/// is impossible or `path` exists, writes a temporary file beside it and renames that. Mode 0600 by
/// default.
void write_file_atomically(int dirfd, const std::string& path, std::string_view data,
                           mode_t mode = 0600);

/// The content of a memfd from `offset` on; gaps between parts are zero.
struct MemfdPart {
  std::size_t offset = 0;
  std::string_view data;
};

/// Returns a sealed memfd (no more writes, growth, shrinking or seals) that contains `parts` and is
/// executable; see memfd_create(2).
Fd sealed_memfd(const char* name, std::initializer_list<MemfdPart> parts);

/// Returns `path` as an absolute path from the working directory, without `.`, `..` and doubled
/// slashes. Does not resolve symlinks.
std::string absolute_path(const std::string& path);
/// Returns an absolute `path` unchanged, and a relative one as an absolute path from the absolute
/// `directory`.
std::string absolute_path_in(const std::string& directory, const std::string& path);
/// Returns the target of a symlink; empty if it cannot be read.
std::string read_link(const std::string& path);
/// Creates every missing directory of `path` with mode 0700. Throws `system`.
void make_directories(const std::string& path);

}  // namespace tare

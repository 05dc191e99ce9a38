#include "seccomp/cache.h"

#include <dirent.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <memory>
#include <string_view>
#include <tuple>
#include <vector>

#include "tare/error.h"
#include "tare/fd.h"

namespace tare {

namespace {

constexpr std::size_t entry_limit = 64;
constexpr off_t size_limit = off_t{1} << 20;

/// The beginning of an entry; the key and then the program follow, to the end of the file.
struct Header {
  std::array<char, 8> magic;
  std::uint64_t checksum;  ///< of all that follows it
  std::uint32_t key_size;
  std::uint32_t program_size;
};

constexpr std::array<char, 8> magic = {'t', 'a', 'r', 'e', 'b', 'p', 'f', '\1'};

/// Names a key's entry and detects damage in one; it does not have to withstand an attack.
std::uint64_t digest(std::string_view bytes, std::uint64_t hash) {
  while (!bytes.empty()) {
    std::uint64_t word = bytes.size();
    const std::size_t size = std::min(bytes.size(), sizeof word);
    std::memcpy(&word, bytes.data(), size);
    bytes.remove_prefix(size);
    hash = (hash ^ word) * 0x9e3779b97f4a7c15U;
    hash ^= hash >> 32;
  }
  return hash;
}

std::uint64_t checksum(const Header& header, std::string_view key, std::string_view program) {
  const std::uint64_t sizes = (std::uint64_t{header.key_size} << 32) | header.program_size;
  return digest(program, digest(key, sizes));
}

std::string entry_name(std::string_view key) {
  std::array<char, 17> name;
  std::snprintf(name.data(), name.size(), "%016llx",
                static_cast<unsigned long long>(digest(key, key.size())));
  return name.data();
}

/// Whether the entry belongs to this user and no other user may access it.
bool private_to_us(const struct stat& status) {
  return status.st_uid == geteuid() && (status.st_mode & 077) == 0;
}

std::optional<Fd> open_private_directory(const std::string& path) {
  Fd directory(open(path.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  struct stat status;
  if (!directory || fstat(directory.get(), &status) != 0 || !private_to_us(status)) {
    return std::nullopt;
  }
  return directory;
}

std::optional<std::string> read_entry(const std::string& directory, const std::string& name) {
  const std::optional<Fd> dir = open_private_directory(directory);
  if (!dir) {
    return std::nullopt;
  }
  // Do not block on a FIFO in the entry's place.
  const Fd file(openat(dir->get(), name.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
  struct stat status;
  if (!file || fstat(file.get(), &status) != 0 || !S_ISREG(status.st_mode) ||
      !private_to_us(status) || status.st_size > size_limit) {
    return std::nullopt;
  }
  std::string bytes(static_cast<std::size_t>(status.st_size), '\0');
  if (read(file.get(), bytes.data(), bytes.size()) != status.st_size) {
    return std::nullopt;
  }
  return bytes;
}

/// Removes the oldest files until there is room for one more.
void make_room(int directory) {
  const std::unique_ptr<DIR, int (*)(DIR*)> list(
      fdopendir(open_file(directory, ".", O_RDONLY | O_DIRECTORY).release()), closedir);
  if (!list) {
    return;
  }
  std::vector<std::tuple<time_t, long, std::string>> found;
  while (const dirent* entry = readdir(list.get())) {
    struct stat status;
    if (fstatat(directory, entry->d_name, &status, AT_SYMLINK_NOFOLLOW) == 0 &&
        S_ISREG(status.st_mode)) {
      found.emplace_back(status.st_mtim.tv_sec, status.st_mtim.tv_nsec, entry->d_name);
    }
  }
  std::sort(found.begin(), found.end());
  for (std::size_t i = 0; i + entry_limit <= found.size(); ++i) {
    unlinkat(directory, std::get<std::string>(found[i]).c_str(), 0);
  }
}

class KeyWriter {
 public:
  KeyWriter() { bytes_.reserve(16384); }

  void number(std::uint64_t value) {
    bytes_.append(reinterpret_cast<const char*>(&value), sizeof value);
  }
  void size(std::size_t value) {
    const auto narrow = static_cast<std::uint32_t>(value);
    bytes_.append(reinterpret_cast<const char*>(&narrow), sizeof narrow);
  }
  void string(const std::string& value) {
    size(value.size());
    bytes_ += value;
  }
  void strings(const std::vector<std::string>& values) {
    size(values.size());
    for (const std::string& value : values) {
      string(value);
    }
  }
  void optional(const std::optional<std::uint32_t>& value) {
    number(value ? *value : ~std::uint64_t{0});
  }
  std::string take() { return std::move(bytes_); }

 private:
  std::string bytes_;
};

}  // namespace

std::string seccomp_cache_key(const Seccomp& profile, const std::string& compiler) {
  KeyWriter key;
  key.string(compiler);
  key.string(profile.default_action);
  key.optional(profile.default_errno_ret);
  key.strings(profile.architectures);
  key.size(profile.syscalls.size());
  for (const SeccompSyscall& syscall : profile.syscalls) {
    key.strings(syscall.names);
    key.string(syscall.action);
    key.optional(syscall.errno_ret);
    key.size(syscall.args.size());
    for (const SeccompArg& arg : syscall.args) {
      key.size(arg.index);
      key.number(arg.value);
      key.number(arg.value_two);
      key.string(arg.op);
    }
  }
  return key.take();
}

std::optional<std::string> find_cached_program(const std::string& directory,
                                               const std::string& key) {
  const std::optional<std::string> entry = read_entry(directory, entry_name(key));
  Header header;
  if (!entry || entry->size() < sizeof header) {
    return std::nullopt;
  }
  std::memcpy(&header, entry->data(), sizeof header);
  if (header.magic != magic || header.key_size != key.size() ||
      entry->size() - sizeof header != std::uint64_t{header.key_size} + header.program_size) {
    return std::nullopt;
  }
  const std::string_view rest = std::string_view(*entry).substr(sizeof header);
  const std::string_view program = rest.substr(key.size());
  if (rest.substr(0, key.size()) != key || program.empty() ||
      header.checksum != checksum(header, key, program)) {
    return std::nullopt;
  }
  return std::string(program);
}

void cache_program(const std::string& directory, const std::string& key,
                   const std::string& program) noexcept {
  try {
    mkdir(directory.c_str(), 0700);
    const std::optional<Fd> dir = open_private_directory(directory);
    if (!dir) {
      return;
    }
    Header header{magic, 0, static_cast<std::uint32_t>(key.size()),
                  static_cast<std::uint32_t>(program.size())};
    header.checksum = checksum(header, key, program);
    std::string entry(reinterpret_cast<const char*>(&header), sizeof header);
    entry += key;
    entry += program;
    make_room(dir->get());
    write_file_atomically(dir->get(), entry_name(key), entry, 0600);
  } catch (const std::exception&) {
    // A full or read-only file system must not fail this start; the next one compiles again.
  }
}

}  // namespace tare

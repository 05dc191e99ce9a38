// Allocates ids from 0x77390000 to 0x7ffcffff. Below them are the ids that systemd-nspawn and
// nsresourced allocate for containers (524288 to 1879048191), those that useradd(8) writes to
// /etc/subuid (to 600100000) and those that SSSD and FreeIPA derive for users of a domain (to
// 2000200000); above them are systemd's foreign ids (from 2147352576), and numbers that do not fit
// into a signed integer. Ids listed in /etc/subuid and /etc/subgid are left out all the same.
//
// A range in use is a symlink in a directory of the whole machine, whatever state roots the
// containers have: symlink(2) is atomic, succeeds for one process alone, and needs no lock. The
// symlink names the container's state directory, which is made before it and removed after it. So a
// range is in use exactly as long as the container exists, even after the process that made it has
// ended; a lock that the kernel releases with its holder would end too early. This takes two system
// calls, together less than 10 us.
#include "container/id_ranges.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cctype>
#include <cerrno>
#include <charconv>
#include <memory>
#include <mutex>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

#include "host/subordinate_ids.h"
#include "tare/error.h"
#include "tare/fd.h"

namespace tare {
namespace {

constexpr const char* ranges_directory = "/run/tare-ids";
constexpr std::uint32_t first_range = 0x77390000;
constexpr std::uint32_t range_count = (own_ids_placeholder - first_range) / own_ids_count;
static_assert(own_ids_placeholder % own_ids_count == 0 && first_range % own_ids_count == 0);

std::string range_path(std::uint32_t first) {
  return std::string(ranges_directory) + "/" + std::to_string(first);
}

bool is_placeholder(std::uint32_t id) {
  return id >= own_ids_placeholder && id - own_ids_placeholder < own_ids_count;
}

/// Calls `visit` with each id mapping, of the user namespace and of mounts.
template <typename SpecType, typename Visit>
void for_each_mapping(SpecType& spec, Visit visit) {
  const auto visit_all = [&](auto& mappings) {
    for (auto& mapping : mappings) {
      visit(mapping);
    }
  };
  visit_all(spec.linux_.uid_mappings);
  visit_all(spec.linux_.gid_mappings);
  for (auto& mount : spec.mounts) {
    visit_all(mount.uid_mappings);
    visit_all(mount.gid_mappings);
  }
}

/// Returns the position and the value of the number after `"hostID":`; the value is 0 if there is
/// none.
std::pair<std::size_t, std::uint32_t> number_after_key(std::string_view json, std::size_t at) {
  const auto skip_space = [&] {
    while (at < json.size() && std::isspace(static_cast<unsigned char>(json[at])) != 0) {
      ++at;
    }
  };
  skip_space();
  std::uint32_t value = 0;
  if (at < json.size() && json[at] == ':') {
    ++at;
    skip_space();
    std::from_chars(json.data() + at, json.data() + json.size(), value);
  }
  return {at, value};
}

/// Returns the inode number of this mount namespace, in which paths of state directories are valid.
std::string mount_namespace() {
  static std::mutex mutex;
  static pid_t known = 0;
  static ino_t inode = 0;
  const std::lock_guard lock(mutex);
  if (const pid_t pid = getpid(); pid != known) {
    const char* const path = "/proc/self/ns/mnt";
    struct stat status{};
    if (stat(path, &status) < 0) {
      throw_errno("stat", path);
    }
    inode = status.st_ino;
    known = pid;
  }
  return std::to_string(inode);
}

std::string record_of(const std::string& owner) { return mount_namespace() + " " + owner; }

void make_ranges_directory() {
  if (mkdir(ranges_directory, 0700) < 0 && errno != EEXIST) {
    throw_errno("mkdir", ranges_directory);
  }
}

/// Identifies the contents of a file at the time it was read.
using Version = std::tuple<dev_t, ino_t, off_t, time_t, long>;

Version version_of(const char* path) {
  struct stat status{};
  if (stat(path, &status) < 0) {
    return {};
  }
  return {status.st_dev, status.st_ino, status.st_size, status.st_mtim.tv_sec,
          status.st_mtim.tv_nsec};
}

/// The ranges that belong to users, read again only if a file has changed.
class SubordinateIds {
 public:
  static bool overlap(std::uint32_t first) {
    static SubordinateIds& ids = *new SubordinateIds;  // threads may use it as the process ends
    const std::lock_guard lock(ids.mutex_);
    ids.refresh();
    for (const SubordinateRange& range : ids.ranges_) {
      if (range.first < std::uint64_t{first} + own_ids_count &&
          first < std::uint64_t{range.first} + range.count) {
        return true;
      }
    }
    return false;
  }

 private:
  void refresh() {
    const std::pair now{version_of(subuid_file), version_of(subgid_file)};
    if (read_ && now == versions_) {
      return;
    }
    ranges_ = subordinate_ranges(subuid_file);
    const std::vector<SubordinateRange> gids = subordinate_ranges(subgid_file);
    ranges_.insert(ranges_.end(), gids.begin(), gids.end());
    versions_ = now;
    read_ = true;
  }

  std::mutex mutex_;
  bool read_ = false;
  std::pair<Version, Version> versions_;
  std::vector<SubordinateRange> ranges_;
};

/// Returns the next range to try. Processes begin at random ranges, and a released range is not
/// reused soon: the kernel may account for its last user a little longer.
std::uint32_t next_range() {
  static std::atomic<std::uint32_t> next = [] {
    std::uint32_t random = 0;
    return getrandom(&random, sizeof random, 0) == sizeof random
               ? random
               : static_cast<std::uint32_t>(getpid());
  }();
  return first_range + next.fetch_add(1) % range_count * own_ids_count;
}

/// Returns the first id of the range taken; 0: all ranges are in use.
std::uint32_t try_ranges(const std::string& record) {
  for (std::uint32_t tries = 0; tries <= range_count; ++tries) {
    const std::uint32_t first = next_range();
    if (SubordinateIds::overlap(first)) {
      continue;
    }
    if (symlink(record.c_str(), range_path(first).c_str()) == 0) {
      return first;
    }
    if (errno == ENOENT) {
      make_ranges_directory();
    } else if (errno != EEXIST) {
      throw_errno("symlink", range_path(first));
    }
  }
  return 0;
}

/// Whether a range's record belongs to a deleted container of this mount namespace.
bool is_stale(const std::string& record, const std::string& here) {
  struct stat status{};
  return record.starts_with(here) && lstat(record.c_str() + here.size(), &status) < 0 &&
         errno == ENOENT;
}

}  // namespace

bool wants_own_ids(const Spec& spec) {
  bool wants = false;
  for_each_mapping(
      spec, [&](const IdMapping& mapping) { wants = wants || is_placeholder(mapping.host_id); });
  return wants;
}

void give_own_ids(IdMapping& mapping, std::uint32_t first) {
  if (is_placeholder(mapping.host_id)) {
    mapping.host_id += first - own_ids_placeholder;
  }
}

std::vector<std::size_t> find_own_ids(const std::string& config) {
  std::vector<std::size_t> offsets;
  // Inside a JSON string the quotes of the key would be escaped.
  constexpr std::string_view key = "\"hostID\"";
  for (std::size_t at = config.find(key); at != config.npos;
       at = config.find(key, at + key.size())) {
    const auto [begin, value] = number_after_key(config, at + key.size());
    if (is_placeholder(value)) {
      offsets.push_back(begin);
    }
  }
  return offsets;
}

void give_own_ids(Bundle& bundle, std::uint32_t first) {
  for_each_mapping(bundle.spec, [first](IdMapping& mapping) { give_own_ids(mapping, first); });
  if (!bundle.own_id_offsets) {
    bundle.own_id_offsets = find_own_ids(bundle.config);
  }
  for (const std::size_t offset : *bundle.own_id_offsets) {
    std::uint32_t id = 0;
    std::from_chars(bundle.config.data() + offset, bundle.config.data() + bundle.config.size(), id);
    // Both numbers have ten digits.
    const std::string given = std::to_string(id - own_ids_placeholder + first);
    bundle.config.replace(offset, given.size(), given);
  }
}

std::uint32_t take_id_range(const std::string& owner) {
  const ErrorContext context("take a range of ids for the container");
  const std::string record = record_of(owner);
  std::uint32_t first = try_ranges(record);
  if (first == 0) {
    release_stale_id_ranges();
    first = try_ranges(record);
  }
  if (first == 0) {
    throw Error(ErrorKind::system, "all " + std::to_string(range_count) +
                                       " ranges are in use or in " + subuid_file + " and " +
                                       subgid_file +
                                       "; delete containers that have stopped (the symlinks in " +
                                       ranges_directory + " lead to them)")
        .with_path(ranges_directory);
  }
  return first;
}

void release_id_range(std::uint32_t first, const std::string& owner) noexcept {
  try {
    const std::string path = range_path(first);
    const std::string record = read_link(path);
    // The caller may be in another mount namespace than the process that took the range: only the
    // path of the state directory is compared.
    if (record.substr(std::min(record.find(' '), record.size())) == " " + owner) {
      unlink(path.c_str());
    }
  } catch (const std::exception&) {
    // release_stale_id_ranges() removes it later.
  }
}

void release_stale_id_ranges() {
  const Fd directory = open_or_none(AT_FDCWD, ranges_directory, O_RDONLY | O_DIRECTORY);
  const std::unique_ptr<DIR, int (*)(DIR*)> list(
      directory ? fdopendir(fcntl(directory.get(), F_DUPFD_CLOEXEC, 0)) : nullptr, closedir);
  if (!list) {
    return;
  }
  // All removals of stale ranges hold this lock, so that a stale range does not become another
  // container's between two checks.
  flock(directory.get(), LOCK_EX);
  const std::string here = mount_namespace() + " ";
  while (const dirent* entry = readdir(list.get())) {
    const std::string path = std::string(ranges_directory) + "/" + entry->d_name;
    struct stat before{};
    struct stat after{};
    // The owner releases its range before it removes the state directory: the symlink may belong to
    // another container by now, so compare it before and after.
    if (lstat(path.c_str(), &before) == 0 && is_stale(read_link(path), here) &&
        lstat(path.c_str(), &after) == 0 && before.st_ino == after.st_ino &&
        before.st_ctim.tv_sec == after.st_ctim.tv_sec &&
        before.st_ctim.tv_nsec == after.st_ctim.tv_nsec) {
      unlink(path.c_str());
    }
  }
}

namespace {

std::vector<IdMapping> mappings_to(std::uint32_t self,
                                   const std::vector<SubordinateRange>& ranges) {
  std::vector<IdMapping> mappings;
  mappings.push_back({0, self, 1});
  std::uint32_t next = 1;
  for (const SubordinateRange& range : ranges) {
    const auto size =
        static_cast<std::uint32_t>(std::min<std::uint64_t>(range.count, own_ids_count - next));
    if (size != 0) {
      mappings.push_back({next, range.first, size});
      next += size;
    }
  }
  return mappings;
}

}  // namespace

IdMappings subordinate_mappings() {
  const std::string name = own_user_name();
  std::string remedy;
  const auto ranges_of = [&](const char* file) {
    std::vector<SubordinateRange> ranges = own_subordinate_ranges(file, name);
    if (ranges.empty()) {
      remedy += (remedy.empty() ? "" : "; ") +
                subordinate_range_remedy(file, name.empty() ? std::to_string(geteuid()) : name);
    }
    return ranges;
  };
  const std::vector<SubordinateRange> uids = ranges_of(subuid_file);
  const std::vector<SubordinateRange> gids = ranges_of(subgid_file);
  if (!remedy.empty()) {
    throw Error(
        ErrorKind::unsupported,
        std::string(
            "users other than 0 in an ordinary user's container need ranges for that user in ") +
            subuid_file + " and " + subgid_file +
            ": install newuidmap and newgidmap (the package uidmap or shadow-utils), and " + remedy)
        .with_path(subuid_file);
  }
  return {mappings_to(geteuid(), uids), mappings_to(getegid(), gids)};
}

}  // namespace tare

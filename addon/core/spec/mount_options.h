// The options in mounts[].options.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tare/spec.h"

namespace tare {

/// The result of parsing mount options: attributes and propagation for the mount, the rest for the
/// file system.
struct MountOptions {
  bool bind = false;
  bool recursive = false;
  bool remount = false;
  bool source_no_follow = false;
  bool source_no_symlinks = false;
  std::string source_within;  ///< the directory that must contain the source; empty: any
  bool target_no_follow = false;
  bool copy_symlink = false;
  bool copy_up = false;
  bool id_mapped = false;
  bool names_atime = false;  ///< noatime, nodiratime, relatime or strictatime is set
  bool id_mapped_recursively = false;
  std::uint64_t set = 0;  ///< MOUNT_ATTR_*
  std::uint64_t clear = 0;
  std::uint64_t recursive_set = 0;
  std::uint64_t recursive_clear = 0;
  std::uint64_t propagation = 0;  ///< MS_*, with MS_REC
  std::vector<std::pair<std::string, std::string>>
      data;  ///< for fsconfig(2); an empty value is a flag
};

MountOptions read_mount_options(const Mount& mount);
/// Returns MS_* with MS_REC for "rslave" and the like; none for other words.
std::optional<std::uint64_t> propagation_flags(std::string_view word);
/// Returns "rslave" for MS_SLAVE | MS_REC.
std::string propagation_name(std::uint64_t flags);
/// Returns "ro,nosuid" for MOUNT_ATTR_* to set (and, as "rw", to clear).
std::string attribute_names(std::uint64_t set, std::uint64_t clear, bool recursive);
/// Whether `word` is a known mount option; other words are passed to the file system.
bool is_mount_option(std::string_view word);
/// Returns all known options.
std::vector<std::string> mount_option_words();

}  // namespace tare

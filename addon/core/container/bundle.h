// The bundle that a container is made from.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "tare/container.h"
#include "tare/spec.h"

namespace tare {

/// A bundle: its directory, and its config as text and parsed.
struct Bundle {
  std::string path;
  std::string config;
  Spec spec;  ///< always has a process
  /// Whether config.json has a process. It is required at start and not before (config.md
  /// "Process"); if it is absent, `spec` has a process without arguments.
  bool has_process = true;
  /// The result of find_own_ids() for `config`, if it is known.
  std::optional<std::vector<std::size_t>> own_id_offsets = {};
};

/// Reads and validates the config. Throws `invalid_argument` if there is none, and the errors of
/// parse_spec and validate.
Bundle read_bundle(const CreateOptions& options);
/// Returns the absolute path of the container's root.
std::string rootfs_path(const Bundle& bundle);
/// Throws `invalid_config` unless `path` is a directory.
void check_rootfs(const std::string& path);

}  // namespace tare

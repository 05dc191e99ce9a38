// The bundle that a container is made from.
#pragma once

#include <string>

#include "tare/container.h"
#include "tare/spec.h"

namespace tare {

/// A bundle as it was given: its directory, its config as text and as structs.
struct Bundle {
  std::string path;
  std::string config;
  Spec spec;  ///< has a process in any case
  /// config.json has one. It is required when a container is started, and not before (config.md
  /// "Process"); until then one without arguments stands for it.
  bool has_process = true;
};

/// Reads and validates. Throws `invalid_argument` where there is no config, and what parse_spec and
/// validate throw.
Bundle read_bundle(const CreateOptions& options);
/// Of the container's root, absolute.
std::string rootfs_path(const Bundle& bundle);
/// Throws `invalid_config` unless it is a directory.
void check_rootfs(const std::string& path);

}  // namespace tare

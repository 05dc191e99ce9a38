// What of a container is the host's, so that criu is to leave it alone: mounts, open files.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "tare/spec.h"

namespace tare {

/// A mount of the container that is one of the host's.
struct ExternalMount {
  std::string place;       ///< in the container
  std::string source;      ///< on the host, absolute
  bool read_only = false;  ///< by linux.readonlyPaths
};

/// Those of the container whose init is `pid`, and whose config is `spec` from `bundle`.
std::vector<ExternalMount> external_mounts(pid_t pid, const Spec& spec, const std::string& bundle);

/// The open files of a container that are the host's, as criu calls them: "file[1d:3]", and
/// "tty[8801:1c]" for a terminal.
struct ExternalFiles {
  /// Of each standard stream of init: a key, if it is one of them; what its link in /proc says
  /// ("pipe:[1234]", which needs no key), if it is not.
  std::vector<std::string> streams;
  /// Those of the host's /dev/null, whoever has it.
  std::vector<std::string> null_devices;
};
/// Whether `text` is such a name.
bool is_external_key(std::string_view text);
/// Of the container whose init is `pid`, and whose processes are `pids`, `pid` among them.
ExternalFiles external_files(pid_t pid, const std::vector<pid_t>& pids);

}  // namespace tare

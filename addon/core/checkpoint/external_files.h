// The mounts and open files of a container that belong to the host, and that criu must leave alone.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "tare/spec.h"

namespace tare {

/// A mount of the container that comes from the host.
struct ExternalMount {
  std::string path;        ///< in the container
  std::string source;      ///< on the host, absolute
  bool read_only = false;  ///< by linux.readonlyPaths
};

/// Returns the external mounts of the container with the init `pid`, made from the config `spec` of
/// `bundle`.
std::vector<ExternalMount> external_mounts(pid_t pid, const Spec& spec, const std::string& bundle);

/// The open files of a container that belong to the host, by criu's keys: "file[1d:3]", and
/// "tty[8801:1c]" for a terminal.
struct ExternalFiles {
  /// For each standard stream of init: its key if the file is the host's, else its link in /proc
  /// ("pipe:[1234]", which needs no key).
  std::vector<std::string> streams;
  /// The keys of the host's /dev/null, whichever process has it open.
  std::vector<std::string> null_devices;
};
/// Whether `text` is a key of an external file.
bool is_external_key(std::string_view text);
/// Returns the external files of the container with the init `pid` and the processes `pids`, which
/// include `pid`.
ExternalFiles external_files(pid_t pid, const std::vector<pid_t>& pids);

}  // namespace tare

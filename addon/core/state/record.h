/// \file
/// The record of a container: state.json.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace tare {

/// The record of one container.
struct StateRecord {
  std::string id;
  std::string bundle;            ///< absolute
  std::string rootfs;            ///< absolute
  std::string created;           ///< RFC 3339, UTC, nanoseconds
  std::string cgroup_path;       ///< relative to the cgroup2 mount; empty: none
  std::string systemd_unit;      ///< that owns the cgroup; empty: none
  bool systemd_user = false;     ///< the unit belongs to the owner's user manager, not the system's
  pid_t pid = 0;                 ///< in the caller's pid namespace; 0 while it is being created
  std::uint64_t start_time = 0;  ///< field 22 of /proc/PID/stat, to detect a reused pid
  uid_t owner = 0;
  std::string oci_version;
  std::vector<std::pair<std::string, std::string>> annotations;
  bool mounts_on_host = false;  ///< see Journal::root()
  bool has_process = true;      ///< false if config.json has no process; start requires it
  bool has_hooks =
      false;  ///< startContainer, poststart or poststop hooks: start and delete need the config
  bool has_rdt = false;  ///< see Journal::rdt()
  /// Its create() is running hooks, or died there; with `has_hooks`: has not finished.
  bool creating = false;
  bool own_pid_namespace = false;  ///< its processes end with its init
  bool has_reaper = false;         ///< its init is the reaper of its program
  bool no_new_keyring = false;     ///< it was created with the caller's session keyring
  /// criu(8) has restored it in a time namespace, whatever config.json says, so that its clocks
  /// continue from their old values.
  bool in_time_namespace = false;
  std::uint32_t first_own_id = 0;  ///< of the range allocated for it; 0: none
};

/// Whether a cgroup's path stays in the tree. The stored state may have been changed.
bool is_cgroup_path(const std::string& path);
/// Returns the text of state.json.
std::string record_text(const StateRecord& record);
/// Parses state.json. `name` denotes the text in errors. Throws `invalid_config` for a malformed
/// record, or one of another container than `id`.
StateRecord parse_record(std::string text, const std::string& name, const std::string& id);

}  // namespace tare

/// \file
/// Checkpoint and restore by criu(8): options for saving and restoring a container.
///
/// criu writes image files to a directory, and a log (dump.log, restore.log) to the same or a
/// separate directory; errors mention both. It requires root.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace tare {

/// How criu treats the cgroups that a container has created below its own, and their limits
/// (criu(8), "--manage-cgroups").
enum class CgroupsMode : std::uint8_t {
  soft,    ///< missing ones are created with their limits
  full,    ///< missing ones are created; limits are restored in any case
  strict,  ///< fails if they, or the container's, exist
  ignore,  ///< all processes end up in the container's cgroup
};

/// Returns the mode for its name ("soft", "full", …); none if unknown.
std::optional<CgroupsMode> cgroups_mode(std::string_view word) noexcept;

/// criu options for both dump and restore.
struct CriuOptions {
  std::string image_path;  ///< directory of the images; empty: ./checkpoint
  std::string work_path;   ///< directory of the log and of criu's other files; empty: image_path
  bool tcp_established = false;  ///< save and restore established TCP connections
  bool ext_unix_sk = false;      ///< allow Unix sockets connected to the outside
  bool shell_job = false;        ///< allow a session and a terminal of the caller
  bool lazy_pages = false;       ///< memory is fetched on first access (userfaultfd(2))
  bool file_locks = false;       ///< save and restore file locks
  bool auto_dedup = false;  ///< remove pages from parent images that later images contain, or from
                            ///< images as they are read
  CgroupsMode manage_cgroups = CgroupsMode::soft;
};

struct CheckpointOptions {
  CriuOptions criu;
  /// The images that this dump is incremental to; relative to image_path. Empty: none.
  std::string parent_path;
  bool leave_running = false;       ///< the container keeps running; otherwise it is removed
  bool pre_dump = false;            ///< memory only, as the base of a later incremental dump
  bool tcp_skip_in_flight = false;  ///< leave out connections that are not yet accepted
  bool link_remap = false;          ///< files deleted while open get a name again, as link_remap.N
  std::string page_server;          ///< host of a page server that receives the memory; empty: none
  std::uint16_t page_server_port = 0;
  int status_fd =
      -1;  ///< gets a NUL when lazy pages are ready to be fetched, then is closed; -1: none
};

struct RestoreOptions {
  CriuOptions criu;
  std::string lsm_profile;        ///< "apparmor:NAME" or "selinux:LABEL" instead of the saved one
  std::string lsm_mount_context;  ///< SELinux context of mounts instead of the saved one
};

}  // namespace tare

/// \file
/// Checkpoint and restore by criu(8): how a container is to be saved, and brought back to life.
///
/// criu writes image files to a directory, and a log beside them (dump.log, restore.log) or in a
/// directory of its own; errors tell of both. It serves root alone.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace tare {

/// What criu does with the cgroups that a container has made below its own, and with their limits
/// (criu(8), "--manage-cgroups").
enum class CgroupsMode : std::uint8_t {
  soft,    ///< they are made where they are not there, and given their limits then
  full,    ///< they are given their limits in any case
  strict,  ///< it is an error where they, or the container's, are there
  ignore,  ///< all processes are in the container's cgroup afterwards
};

/// By its word: "soft", "full", …; none for another one.
std::optional<CgroupsMode> cgroups_mode(std::string_view word) noexcept;

/// What is told to criu for a dump and for a restore alike.
struct CriuOptions {
  std::string image_path;  ///< directory of the images; empty: ./checkpoint
  std::string work_path;   ///< directory of the log and of what else criu writes; empty: image_path
  bool tcp_established = false;  ///< save TCP connections and take them up again
  bool ext_unix_sk = false;      ///< allow Unix sockets that are connected to the outside
  bool shell_job = false;        ///< allow a session and a terminal that are the caller's
  bool lazy_pages = false;       ///< memory is fetched when it is used (userfaultfd(2))
  bool file_locks = false;       ///< save file locks and take them again
  bool auto_dedup = false;  ///< remove from parent images what the later ones have too, or images
                            ///< as they are read
  CgroupsMode manage_cgroups = CgroupsMode::soft;
};

struct CheckpointOptions {
  CriuOptions criu;
  /// The images that this dump is the difference to; relative to image_path. Empty: none.
  std::string parent_path;
  bool leave_running = false;       ///< the container lives on; else it is removed
  bool pre_dump = false;            ///< only memory, for a later dump to be the difference to
  bool tcp_skip_in_flight = false;  ///< connections that are not yet accepted are left out
  bool link_remap =
      false;  ///< files that were removed while open get a name again, as link_remap.N
  std::string page_server;  ///< host of a server that takes the memory; empty: none
  std::uint16_t page_server_port = 0;
  int status_fd =
      -1;  ///< gets a NUL when lazy pages are ready to be fetched, and is closed; -1: none
};

struct RestoreOptions {
  CriuOptions criu;
  std::string lsm_profile;        ///< "apparmor:NAME" or "selinux:LABEL" instead of the saved one
  std::string lsm_mount_context;  ///< SELinux context of mounts instead of the saved one
};

}  // namespace tare

// Runs criu(8) as a child process, and requests dumps and restores by its RPC (criu.proto).
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "spawn/spawn.h"
#include "tare/checkpoint.h"
#include "tare/fd.h"

namespace tare {

enum class CriuVerb : std::uint8_t { dump, pre_dump, restore };

/// A request for a dump or a restore. Descriptors are this process's, except for those of
/// `inherited`.
struct CriuRequest {
  CriuVerb verb = CriuVerb::dump;
  CriuOptions options;
  int images = -1;  ///< directory
  int work = -1;    ///< directory; -1: images
  std::string log_file;
  std::string config_file;            ///< its settings take precedence over these
  std::string root;                   ///< of the container, on the host
  pid_t pid = 0;                      ///< of the container's init; 0: none
  std::vector<std::string> external;  ///< as for --external: "mnt[/data]:/data"
  std::string freeze_cgroup;  ///< absolute directory; empty: processes are stopped one by one
  CheckpointOptions dump;     ///< of a dump; its `criu` is not used
  RestoreOptions restore;     ///< of a restore; its `criu` is not used
  std::vector<std::pair<std::string, int>> inherited;       ///< key and criu's descriptor
  std::vector<std::pair<std::string, std::string>> joined;  ///< namespace and file
  std::string cgroup_root;  ///< replaces the cgroup that the container was saved in
};

/// A notification of criu, which waits for an answer before it goes on.
struct CriuNotice {
  std::string_view script;  ///< "setup-namespaces", "post-restore", …
  pid_t pid = 0;            ///< of the container's init, if criu names one
  Fd fd;                    ///< "orphan-pts-master": the terminal
};

/// Optional features of the kernel and criu.
struct CriuFeatures {
  bool mem_track = false;
  bool lazy_pages = false;
};

/// How criu is started.
struct CriuStart {
  int stdio[3] = {0, 1, 2};    ///< -1: /dev/null
  std::vector<int> inherited;  ///< become criu's 4, 5, …
  int cgroup = -1;             ///< directory fd of the cgroup that it is born in; -1: the caller's
  /// The root directory to restore into, which is mounted for criu at
  /// `mount_directory`/`mount_name`, as pivot_root(2) requires. Empty: nothing is mounted.
  std::string root;
  std::string mount_directory;
  std::string mount_name;
};

/// The number of the first inherited descriptor in criu.
inline constexpr int criu_first_inherited = 4;

/// A running criu that waits for a request. Killed and reaped when destroyed.
class Criu {
 public:
  /// Starts criu. Throws `unsupported` if it is not installed.
  explicit Criu(const CriuStart& start);
  Criu(const Criu&) = delete;
  Criu& operator=(const Criu&) = delete;

  pid_t pid() const noexcept { return process_->pid(); }
  /// Throws `unsupported` if criu is older than 3.16, or lacks a feature of `wanted`. Further
  /// requests are possible afterwards.
  void check(const CriuFeatures& wanted);
  /// Has criu dump or restore, and waits until it has ended. Calls `notice` for each notification;
  /// if that throws, criu undoes what it has done so far, and the exception is rethrown. Returns
  /// the pid of a restored init. `log` is the path of the log, for errors.
  pid_t carry_out(const CriuRequest& request, const std::string& log,
                  const std::function<void(CriuNotice&)>& notice);

 private:
  [[noreturn]] void throw_ended(const std::string& what);

  Plan plan_;
  Fd socket_;
  std::optional<InitProcess> process_;
};

}  // namespace tare

// criu(8) as a process of ours that is talked to by its RPC (criu.proto), and what it says.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tare/checkpoint.h"
#include "tare/fd.h"
#include "tare/spawn.h"

namespace tare {

enum class CriuVerb : std::uint8_t { dump, pre_dump, restore };

/// A dump or a restore as criu is asked for it. Descriptors are this process's, except for those of
/// `inherited`.
struct CriuRequest {
  CriuVerb verb = CriuVerb::dump;
  CriuOptions options;
  int images = -1;  ///< directory
  int work = -1;    ///< directory; -1: images
  std::string log_file;
  std::string config_file;            ///< its settings go before these
  std::string root;                   ///< of the container, on the host
  pid_t pid = 0;                      ///< of the container's init; 0: none
  std::vector<std::string> external;  ///< as --external has it: "mnt[/data]:/data"
  std::string freeze_cgroup;  ///< absolute directory; empty: processes are stopped one by one
  CheckpointOptions dump;     ///< of a dump; `criu` in it is not looked at
  RestoreOptions restore;     ///< of a restore; likewise
  std::vector<std::pair<std::string, int>> inherited;       ///< key and criu's descriptor
  std::vector<std::pair<std::string, std::string>> joined;  ///< namespace and file
  std::string cgroup_root;  ///< what takes the place of the cgroup that the container was saved in
};

/// What criu tells of on its way, before it goes on.
struct CriuNotice {
  std::string_view script;  ///< "setup-namespaces", "post-restore", …
  pid_t pid = 0;            ///< of the container's init, where one is told
  Fd fd;                    ///< "orphan-pts-master": the terminal
};

/// What the kernel and criu can do.
struct CriuFeatures {
  bool mem_track = false;
  bool lazy_pages = false;
};

/// How criu is started.
struct CriuStart {
  int stdio[3] = {0, 1, 2};    ///< -1: /dev/null
  std::vector<int> inherited;  ///< become its 4, 5, …
  int cgroup = -1;             ///< directory fd of the cgroup that it is born in; -1: the caller's
  /// What it restores into: root's directory, which it is to find mounted at `place`/`name`, as
  /// pivot_root(2) wants it. Empty: nothing is mounted.
  std::string root;
  std::string place;
  std::string name;
};

/// The first of inherited descriptors as criu numbers them.
inline constexpr int criu_first_inherited = 4;

/// A running criu that waits for a request. Killed and reaped when destroyed.
class Criu {
 public:
  /// Throws `unsupported` where criu is not installed.
  explicit Criu(const CriuStart& start);
  Criu(const Criu&) = delete;
  Criu& operator=(const Criu&) = delete;

  pid_t pid() const noexcept { return process_->pid(); }
  /// Throws `unsupported` for one that is older than 3.16, or that lacks something of `wanted`.
  /// More can be asked for afterwards.
  void check(const CriuFeatures& wanted);
  /// Has it dump or restore, and waits until it has done that and ended. `notice` is called on its
  /// way; what it throws ends criu, which undoes what it has done so far. Returns the pid of a
  /// restored init. `log` is where the log will be, for errors.
  pid_t carry_out(const CriuRequest& request, const std::string& log,
                  const std::function<void(CriuNotice&)>& notice);

 private:
  [[noreturn]] void throw_ended(const std::string& what);

  Plan plan_;
  Fd socket_;
  std::optional<InitProcess> process_;
};

/// The last errors of a log of criu's, each a line of its own; empty where there is none.
std::string criu_errors(const std::string& log);

}  // namespace tare

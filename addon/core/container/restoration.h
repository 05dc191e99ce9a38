// restore() from a checkpoint to running processes.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <vector>

#include "checkpoint/criu.h"
#include "container/bundle.h"
#include "container/create_rollback.h"
#include "container/criu_session.h"
#include "container/impl.h"
#include "container/restored_init.h"
#include "container/systemd_unit.h"
#include "host/resctrl/resctrl.h"
#include "state/blocking_child.h"
#include "tare/container.h"

namespace tare {

/// The steps of restore(), in their order. What a step has made is removed by the rollback when a
/// later step throws.
class Restoration {
 public:
  /// All references must outlive this.
  Restoration(const Runtime& runtime, const std::string& id, const CreateOptions& options,
              const RestoreOptions& from, StateDir& dir, StateRecord& record)
      : runtime_(runtime), id_(id), options_(options), from_(from), dir_(dir), record_(record) {}

  /// Every refusal comes before the first side effect.
  void prepare();
  /// Makes the state directory, the cgroup, the resctrl group and the mount points.
  void make_resources();
  /// Starts criu in the container's cgroup.
  void start_criu();
  /// Has criu restore the processes.
  void restore_processes();
  /// Returns the process. The container stays.
  StartedProcess hand_over();

  Cgroup take_cgroup() { return std::move(rollback_->cgroup()); }

 private:
  void prepare_request();
  void set_up_namespaces(pid_t init, BlockingChild& child);
  void take_terminal(Fd terminal);
  void finish_processes(pid_t init);

  const Runtime& runtime_;
  const std::string& id_;
  const CreateOptions& options_;
  const RestoreOptions& from_;
  StateDir& dir_;
  StateRecord& record_;
  Bundle bundle_;
  CgroupHost cgroups_;
  Host host_;
  Fd console_socket_;
  Fd pidfd_socket_;
  CriuRequest request_;
  CriuStart start_;
  std::vector<Fd> namespaces_;  ///< of `start_`
  Fd null_;                     ///< of `start_`
  std::string resctrl_;         ///< its mount point; empty: the container has no group
  std::optional<ContainerUnit> unit_;
  std::string cgroup_path_;
  CriuDirectories directories_;
  std::optional<CreateRollback> rollback_;
  RdtGroup rdt_;
  std::vector<std::string> read_only_;  ///< mounts that criu does not make read-only
  RestoredInit init_;
  std::optional<Criu> criu_;
  CriuDirectories seen_;
  StartedProcess process_;
};

}  // namespace tare

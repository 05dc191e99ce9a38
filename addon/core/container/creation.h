// create() from the bundle to an init at its start gate, or to a running program.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "container/bundle.h"
#include "container/create_rollback.h"
#include "container/impl.h"
#include "container/systemd_unit.h"
#include "host/resctrl/resctrl.h"
#include "spawn/spawn.h"
#include "tare/container.h"
#include "tare/plan.h"

namespace tare {

PlanOptions create_plan_options(const std::string& id, const CreateOptions& options,
                                const Spec& spec);

/// The steps of create(), in their order. What a step has made is removed by the rollback when a
/// later step throws.
class Creation {
 public:
  /// All references must outlive this.
  Creation(const Runtime& runtime, const std::string& id, const CreateOptions& options,
           StateDir& dir, StateRecord& record)
      : runtime_(runtime), id_(id), options_(options), dir_(dir), record_(record) {}

  /// Every refusal comes before the first side effect.
  void prepare();
  /// Makes the state directory, the cgroup and the resctrl group.
  void make_resources();
  /// Spawns init. From here on init executes its plan, and the host does the rest of its work in
  /// parallel.
  void spawn_init();
  /// Gives init what needs the host's rights, and puts it into its cgroup with limits.
  void set_up_init();
  /// Writes the record, runs the hooks, and lets init go on to the start gate or the program.
  void let_init_go();
  /// Returns the process. The container stays.
  StartedProcess hand_over();

  const Hooks& hooks() const { return bundle_.spec.hooks; }
  bool has_start_gate() const { return planned_.start_gate; }
  Cgroup take_cgroup() { return std::move(rollback_->cgroup()); }

 private:
  void make_cgroup();
  void run_hooks();

  const Runtime& runtime_;
  const std::string& id_;
  const CreateOptions& options_;
  StateDir& dir_;
  StateRecord& record_;
  Bundle bundle_;
  PlanOptions planned_;
  const ProcessSource source_;
  Fd console_socket_;
  Fd pidfd_socket_;
  std::optional<SeccompAgent> agent_;
  CgroupHost cgroups_;
  Host host_;
  std::string resctrl_;  ///< its mount point; empty: the container has no group
  bool tolerate_ = false;
  std::optional<ContainerUnit> unit_;
  std::string cgroup_path_;
  std::optional<Plan> plan_;  ///< before the rollback, whose init refers to it
  std::optional<CreateRollback> rollback_;
  std::uint32_t first_own_id_ = 0;
  RdtGroup rdt_;
  bool mounts_on_host_ = false;
  std::vector<Fd> owned_;
  std::vector<int> passed_;
  InitProcess* init_ = nullptr;
};

}  // namespace tare

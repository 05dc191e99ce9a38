// Undoes a create or restore that fails.
#pragma once

#include <optional>

#include "container/bundle.h"
#include "container/id_ranges.h"
#include "container/impl.h"
#include "container/systemd_unit.h"
#include "spawn/spawn.h"

namespace tare {

/// Undoes what was made so far, unless `keep()` is called. Init ends first.
class CreateRollback {
 public:
  CreateRollback(StateDir& dir, const StateRecord& record, const Spec& spec, const Runtime& runtime,
                 ContainerUnit* unit)
      : dir_(dir), record_(record), spec_(spec), runtime_(runtime), unit_(unit) {}
  ~CreateRollback();
  CreateRollback(const CreateRollback&) = delete;
  CreateRollback& operator=(const CreateRollback&) = delete;

  Cgroup& cgroup() { return cgroup_; }
  /// Takes a range of ids for the container and returns the first.
  std::uint32_t take_ids() { return first_own_id_ = take_id_range(dir_.path()); }
  InitProcess& process(InitProcess&& process) { return process_.emplace(std::move(process)); }
  /// From here on a failure ends the container (runtime.md "Lifecycle"), and its poststop hooks are
  /// run.
  void hooks_run() { hooks_ran_ = true; }
  void keep() { kept_ = true; }

 private:
  StateDir& dir_;
  const StateRecord& record_;
  const Spec& spec_;
  const Runtime& runtime_;
  ContainerUnit* unit_;  ///< null: no systemd
  Cgroup cgroup_;
  std::optional<InitProcess> process_;
  std::uint32_t first_own_id_ = 0;  ///< 0: none
  bool hooks_ran_ = false;
  bool kept_ = false;
};

}  // namespace tare

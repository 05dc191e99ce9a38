// A container that is being made, by create or by restore.
#pragma once

#include <optional>

#include "container/bundle.h"
#include "container/id_ranges.h"
#include "container/impl.h"
#include "container/systemd_unit.h"
#include "spawn/spawn.h"

namespace tare {

/// Returns the container's record, as far as the bundle determines it.
StateRecord make_record(const Bundle& bundle, const std::string& id, uid_t owner,
                        bool no_new_keyring);
/// Delegates the container's cgroup to the root of its user namespace, if the container has a
/// writable cgroup mount that shows only this cgroup.
void delegate_cgroup(Cgroup& cgroup, const Spec& spec, const Host& host);
/// Limits the depth and number of cgroups below the container's, unless they are limited already.
/// By default the kernel limits neither.
void limit_nesting(Cgroup& cgroup, const Spec& spec);

/// Connects to the socket that gets init's pidfd: `given` by the caller, else by an annotation;
/// none without either.
Fd connect_pidfd_socket(const std::string& given, const Spec& spec);

/// Undoes what was made so far, unless `keep()` is called. Init ends first.
class HalfMade {
 public:
  HalfMade(StateDir& dir, const StateRecord& record, const Spec& spec, const Runtime& runtime,
           ContainerUnit* unit)
      : dir_(dir), record_(record), spec_(spec), runtime_(runtime), unit_(unit) {}
  ~HalfMade();
  HalfMade(const HalfMade&) = delete;
  HalfMade& operator=(const HalfMade&) = delete;

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

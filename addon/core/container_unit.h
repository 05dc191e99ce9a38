// A container's systemd unit: what create() and the later operations do with it.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tare/cgroup.h"
#include "tare/container.h"
#include "tare/state.h"
#include "tare/systemd.h"

namespace tare {

/// The unit of a container that is being created.
///
/// Its scope needs a process when it starts, and systemd must be the one that moves it there: an
/// ordinary user may not clone a process from a login session into a cgroup of his manager, as the
/// two meet only in a cgroup of root's. So init is born in the caller's cgroup, waits at its first
/// op, and makes the container's cgroup namespace once it is in the scope (`Host::enters_cgroup`).
class ContainerUnit {
 public:
  /// Refuses, before anything happens, a host without cgroup v2 or without systemd, limits that
  /// need a controller that is not there, paths and annotations that make no unit, and a cgroup
  /// that has processes or is frozen.
  ContainerUnit(const Runtime& runtime, const Spec& spec, const std::string& id,
                const CgroupHost& cgroups);

  /// Where the cgroup will most likely be, as Cgroup::path().
  const std::string& cgroup_path() const noexcept { return path_; }
  /// Makes the unit with init in it, and its limits in force. From here on stop() undoes it.
  Cgroup start(pid_t init);
  /// Writes to the cgroup's files what systemd has no properties for, and again what it has.
  void apply(Cgroup& cgroup) const { cgroup.apply(settings_); }
  /// What is to be told of the limits.
  const std::vector<std::string>& warnings() const noexcept { return warnings_; }
  /// Has the record name the unit.
  void note(StateRecord& record) const;
  /// Stops a unit that was started.
  void stop() noexcept;

 private:
  CgroupHost cgroups_;
  SystemdUnit unit_;
  std::string description_;
  std::vector<CgroupSetting> settings_;
  std::vector<UnitProperty> properties_;
  Systemd systemd_;
  std::vector<std::string> warnings_;
  std::string path_;
  bool started_ = false;
};

/// Has the unit of a container, if it has one, say what a change of its limits makes of them.
class UnitChange {
 public:
  /// Makes `change` what systemd can hold, and tells it.
  UnitChange(const StateRecord& record, const Runtime& runtime, const Cgroup& cgroup,
             ResourcesChange& change, std::string_view prefix);
  /// Tells it what was before, unless the change is kept.
  ~UnitChange();
  UnitChange(const UnitChange&) = delete;
  UnitChange& operator=(const UnitChange&) = delete;
  void keep() { before_.clear(); }

 private:
  std::string unit_;
  std::optional<Systemd> systemd_;
  std::vector<UnitProperty> before_;
};

/// Moves a process into the container's cgroup by its unit.
void attach_to_unit(const StateRecord& record, pid_t pid);
/// Stops the container's unit, if it has one, and has systemd forget it. The cgroup is gone by
/// then, so what fails here holds nothing of the container: it is warned of.
void stop_unit(const StateRecord& record, const Runtime& runtime);

}  // namespace tare

// A container's systemd unit, for create() and the later operations.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cgroup/cgroup.h"
#include "state/directory.h"
#include "systemd/systemd.h"
#include "tare/container.h"

namespace tare {

/// The unit of a container that is being created.
///
/// A scope needs a process when it starts, and systemd must move it there: an ordinary user may not
/// clone a process from a login session into a cgroup of the user's systemd manager, as the common
/// ancestor of both cgroups is root's. So init is born in the caller's cgroup, waits at its first
/// op, and makes the container's cgroup namespace once it is in the scope (`Host::enters_cgroup`).
class ContainerUnit {
 public:
  /// Refuses, before any side effect, a host without cgroup v2 or without systemd, limits whose
  /// controller is missing, paths and annotations that make no valid unit, and a cgroup that has
  /// processes or is frozen.
  ContainerUnit(const Runtime& runtime, const Spec& spec, const std::string& id,
                const CgroupHost& cgroups);

  /// The expected path of the cgroup, as Cgroup::path().
  const std::string& cgroup_path() const noexcept { return path_; }
  /// Starts the unit with init in it and its limits in force. From here on stop() undoes it.
  Cgroup start(pid_t init);
  /// Writes all limits to the cgroup's files: those without a systemd property, and again the
  /// others.
  void apply(Cgroup& cgroup) const { cgroup.apply(settings_); }
  /// Warnings about the limits.
  const std::vector<std::string>& warnings() const noexcept { return warnings_; }
  /// Writes the unit's name to the record.
  void note(StateRecord& record) const;
  /// Stops the unit if it was started.
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

/// Changes the limits of a container's systemd unit, if it has one.
class UnitChange {
 public:
  /// Adapts `change` to what systemd supports, and sets the unit's properties.
  UnitChange(const StateRecord& record, const Runtime& runtime, const Cgroup& cgroup,
             ResourcesChange& change, std::string_view prefix);
  /// Restores the unit's previous properties, unless the change is kept.
  ~UnitChange();
  UnitChange(const UnitChange&) = delete;
  UnitChange& operator=(const UnitChange&) = delete;
  void keep() { before_.clear(); }

 private:
  std::string unit_;
  std::optional<Systemd> systemd_;
  std::vector<UnitProperty> before_;
};

/// Has systemd move a process into the cgroup of the container's unit.
void attach_to_unit(const StateRecord& record, pid_t pid);
/// Stops the container's unit, if it has one, and has systemd forget it. The cgroup is gone by
/// then, so a failure leaves nothing of the container and is only a warning.
void stop_unit(const StateRecord& record, const Runtime& runtime);

}  // namespace tare

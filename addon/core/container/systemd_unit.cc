#include "container/systemd_unit.h"

#include <unistd.h>

#include "container/impl.h"
#include "tare/error.h"

namespace tare {
namespace {

void refuse_without_cgroup2(const CgroupHost& cgroups) {
  if (cgroups.mode != CgroupMode::unified) {
    throw Error(ErrorKind::unsupported,
                "--systemd-cgroup needs cgroup v2 at /sys/fs/cgroup, and this host has cgroup v1 "
                "there; boot with systemd.unified_cgroup_hierarchy=1, or run without it");
  }
}

/// Connects to the caller's systemd manager. The root of a user namespace may be an ordinary user
/// outside of it, which the system's manager refuses.
Systemd connect_own(const Runtime& runtime) {
  const bool is_user = runtime.rootless.value_or(geteuid() != 0);
  if (is_user) {
    return Systemd::connect(SystemdManager::user);
  }
  const bool may_be_user = !runtime.rootless.has_value() && in_user_namespace();
  try {
    return Systemd::connect(SystemdManager::system);
  } catch (const Error& error) {
    if (!may_be_user || error.kind() != ErrorKind::unsupported) {
      throw;
    }
  }
  return Systemd::connect(SystemdManager::user);
}

Systemd connect_manager(const StateRecord& record) {
  return Systemd::connect(record.systemd_user ? SystemdManager::user : SystemdManager::system);
}

/// Returns the unit, after all refusals that need no connection to the manager.
SystemdUnit checked_unit(const Spec& spec, const std::string& id, const CgroupHost& cgroups) {
  refuse_without_cgroup2(cgroups);
  Cgroup::refuse_unoffered(cgroups, spec.linux_.resources);
  return systemd_unit_for(spec, id);
}

void append(std::vector<UnitProperty>& list, std::vector<UnitProperty> more) {
  list.insert(list.end(), std::make_move_iterator(more.begin()),
              std::make_move_iterator(more.end()));
}

}  // namespace

ContainerUnit::ContainerUnit(const Runtime& runtime, const Spec& spec, const std::string& id,
                             const CgroupHost& cgroups)
    : cgroups_(cgroups),
      unit_(checked_unit(spec, id, cgroups)),
      description_("tare container " + id),
      settings_(cgroup_settings(spec.linux_.resources)),
      properties_(annotated_properties(spec)),
      systemd_(connect_own(runtime)) {
  if (unit_.slice.empty()) {
    unit_.slice = systemd_default_slice(systemd_.manager());
  }
  path_ = systemd_.control_group() + systemd_unit_path(unit_);
  // systemd would move init into a frozen cgroup, and wait for it there.
  Cgroup::refuse_in_use(cgroups_, path_);
  warnings_ = adapt_to_systemd(settings_, systemd_.version());
  append(properties_, resource_properties(settings_, systemd_.version()));
  append(properties_, creation_properties(settings_, systemd_.version()));
  // A user's manager may not filter devices.
  if (systemd_.manager() == SystemdManager::system) {
    append(properties_, device_properties(spec.linux_.resources.devices));
  }
}

Cgroup ContainerUnit::start(pid_t init) {
  systemd_.start_scope(unit_, init, description_, properties_);
  started_ = true;
  const std::string actual = cgroup_of(init);
  const std::string path = systemd_unit_path(unit_, actual);
  Cgroup cgroup = Cgroup::open(cgroups_, path);
  if (!cgroup) {
    throw Error(ErrorKind::system,
                "unit \"" + unit_.name + "\" is started, but init is in the cgroup " + actual +
                    "; call tare where that systemd runs, not within a container");
  }
  return cgroup;
}

void ContainerUnit::note(StateRecord& record) const {
  record.systemd_unit = unit_.name;
  record.systemd_user = systemd_.manager() == SystemdManager::user;
}

void ContainerUnit::stop() noexcept {
  try {
    if (started_) {
      systemd_.stop(unit_.name);
    }
  } catch (const Error&) {
    // The failure that led here is the one to report; systemd stops an empty scope by itself.
  }
}

UnitChange::UnitChange(const StateRecord& record, const Runtime& runtime, const Cgroup& cgroup,
                       ResourcesChange& change, std::string_view prefix)
    : unit_(record.systemd_unit) {
  if (unit_.empty()) {
    return;
  }
  cgroup.prepare(change.settings, change.after.memory, prefix);
  systemd_ = connect_manager(record);
  const unsigned version = systemd_->version();
  for (const std::string& warning : adapt_to_systemd(change.settings, version)) {
    warn(runtime, warning);
  }
  std::vector<UnitProperty> after = resource_properties(change.settings, version, prefix);
  std::vector<UnitProperty> before =
      resource_properties(cgroup.present(change.settings), version, prefix);
  if (change.devices && !record.systemd_user) {
    // Setting DeviceAllow adds to the present entries; an empty list clears them first.
    after.push_back({"DeviceAllow", dbus::array("(ss)", {})});
    append(after, device_properties(change.after.devices));
  }
  systemd_->set_properties(unit_, after);
  before_ = std::move(before);
}

UnitChange::~UnitChange() {
  try {
    if (!before_.empty()) {
      systemd_->set_properties(unit_, before_);
    }
  } catch (const Error&) {
    // The failure that led here is the one to report.
  }
}

void attach_to_unit(const StateRecord& record, pid_t pid) {
  connect_manager(record).attach(record.systemd_unit, pid);
}

void stop_unit(const StateRecord& record, const Runtime& runtime) {
  if (record.systemd_unit.empty()) {
    return;
  }
  try {
    connect_manager(record).stop(record.systemd_unit);
  } catch (const Error& error) {
    warn(runtime, error.what());
  }
}

}  // namespace tare

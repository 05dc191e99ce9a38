/// \file
/// The systemd cgroup driver: a container's cgroup is that of a transient unit, which systemd makes
/// and removes. See systemd.resource-control(5), org.freedesktop.systemd1(5), and
/// systemd.io/CGROUP_DELEGATION. Names and properties are pure; `Systemd` talks to the manager.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "cgroup/cgroup.h"
#include "systemd/dbus/dbus.h"
#include "tare/spec.h"

namespace tare {

/// The service manager of a unit.
enum class SystemdManager : std::uint8_t { system, user };

/// Where a container's unit is.
struct SystemdUnit {
  std::string slice;  ///< "machine-web.slice"; "-.slice" is the root; empty: the manager's default
  std::string name;   ///< "tare-web.scope"
};

/// Returns the unit for linux.cgroupsPath: PREFIX-NAME.scope in SLICE for "SLICE:PREFIX:NAME", or
/// NAME.scope for "SLICE:NAME", as in crun. An absent path means :tare:ID. Throws `invalid_config`
/// for a path of another form, for a name that systemd rejects, and for a slice as the container's
/// own unit, because slices hold no processes.
SystemdUnit systemd_unit_for(const Spec& spec, const std::string& id);
/// Returns the slice of units that name none.
const char* systemd_default_slice(SystemdManager manager) noexcept;
/// Returns the cgroup of a slice, relative to the manager's: "/a.slice/a-b.slice" for "a-b.slice",
/// "" for "-.slice". Throws `invalid_config` for an invalid slice name.
std::string systemd_slice_path(const std::string& slice);
/// Returns the cgroup of a unit, relative to its manager's, as systemd will most likely name it.
std::string systemd_unit_path(const SystemdUnit& unit);
/// Returns the cgroup of a unit, from the cgroup of a process in it or below it; empty if the
/// process is not in it.
std::string systemd_unit_path(const SystemdUnit& unit, const std::string& process_cgroup);

/// A D-Bus property of a unit.
struct UnitProperty {
  std::string name;
  dbus::Value value;
};

/// Returns the properties from annotations: "org.systemd.property.NAME" with a value in GVariant's
/// text format. NAMESec, in seconds, becomes NAMEUSec. Throws `invalid_config`.
std::vector<UnitProperty> annotated_properties(const Spec& spec);
/// Translates `settings` to unit properties as far as systemd has them, so that it does not revert
/// them when it next writes the unit's cgroup. `version` is systemd's; properties that are newer
/// are left to the cgroup's files. Throws `invalid_config` for values that systemd does not accept.
/// `prefix` precedes a field of linux.resources in messages.
std::vector<UnitProperty> resource_properties(const std::vector<CgroupSetting>& settings,
                                              unsigned version,
                                              std::string_view prefix = config_resources);
/// Returns the properties that only a new unit accepts: OOMPolicy for memory.oom.group.
std::vector<UnitProperty> creation_properties(const std::vector<CgroupSetting>& settings,
                                              unsigned version);
/// Returns DevicePolicy and DeviceAllow for the same rules as `device_filter_program`. systemd
/// cannot express rules that allow everything but some device: it is then told to filter nothing,
/// and only the container's own filter applies.
std::vector<UnitProperty> device_properties(const std::vector<DeviceRule>& rules);
/// Adapts `settings` to systemd's precision, so that unit and cgroup agree: rounds a CPU quota up
/// to hundredths of a processor, and drops the weight of an idle cgroup. Returns warnings for the
/// user.
std::vector<std::string> adapt_to_systemd(std::vector<CgroupSetting>& settings, unsigned version);

/// A connection to a service manager. Every call waits for `timeout` at most and then throws
/// `system` with ETIMEDOUT and a remedy.
class Systemd {
 public:
  static constexpr std::chrono::milliseconds default_timeout = std::chrono::seconds(30);

  /// Connects to the system manager by its private socket, else by the system bus; to a user
  /// manager by the session bus, else by its private socket. Throws `unsupported` if there is none,
  /// with the attempts and the remedy.
  static Systemd connect(SystemdManager manager,
                         std::chrono::milliseconds timeout = default_timeout);
  SystemdManager manager() const noexcept { return manager_; }
  /// 252 of "252.38-1~deb12u1"; 0 if unknown.
  unsigned version() const noexcept { return version_; }
  /// The manager's own cgroup, "" for the root.
  const std::string& control_group() const noexcept { return control_group_; }

  /// Makes a delegated scope with `pid` in it and waits until it is active. Resets a failed unit of
  /// that name and retries once. Throws `already_exists` if an active unit has that name.
  void start_scope(const SystemdUnit& unit, pid_t pid, const std::string& description,
                   const std::vector<UnitProperty>& properties);
  /// Changes properties of a unit for its lifetime.
  void set_properties(const std::string& unit, const std::vector<UnitProperty>& properties);
  /// Moves a process into the unit's cgroup.
  void attach(const std::string& unit, pid_t pid);
  /// Stops the unit and makes systemd forget it; a nonexistent one is ignored.
  void stop(const std::string& unit);

 private:
  Systemd(SystemdManager manager, std::chrono::milliseconds timeout, std::string where,
          dbus::Connection connection)
      : manager_(manager),
        timeout_(timeout),
        where_(std::move(where)),
        connection_(std::move(connection)) {}
  void greet();
  dbus::Deadline deadline() const;
  [[noreturn]] void fail_late(std::string_view what) const;
  /// Calls a method of the manager's or another interface; the reply may be an error.
  dbus::Message call(dbus::Message call);
  dbus::Message manager_call(const char* member, std::vector<dbus::Value> arguments);
  std::string manager_property(const char* name);
  /// Waits for the end of a job and returns its result, such as "done".
  std::string job_result(const std::string& job, const std::string& unit);
  void reset_failed(const std::string& unit);

  SystemdManager manager_;
  std::chrono::milliseconds timeout_;
  std::string where_;  ///< the socket, for messages
  dbus::Connection connection_;
  bool bus_ = false;  ///< the connection goes through a message bus
  unsigned version_ = 0;
  std::string control_group_;
};

}  // namespace tare

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

#include "tare/cgroup.h"
#include "tare/dbus.h"
#include "tare/spec.h"

namespace tare {

/// Which service manager a unit belongs to.
enum class SystemdManager : std::uint8_t { system, user };

/// Where a container's unit is.
struct SystemdUnit {
  std::string slice;  ///< "machine-web.slice"; "-.slice" is the root; empty: the manager's default
  std::string name;   ///< "tare-web.scope"
};

/// The unit that linux.cgroupsPath, "SLICE:PREFIX:NAME", asks for: PREFIX-NAME.scope in SLICE; or
/// NAME.scope for "SLICE:NAME", as crun has it. Where the path is absent it is :tare:ID. Throws
/// `invalid_config` for a path of another form, for a name that systemd does not take, and for a
/// slice as the container's own unit: those hold no processes.
SystemdUnit systemd_unit_for(const Spec& spec, const std::string& id);
/// Where units go that name no slice.
const char* systemd_default_slice(SystemdManager manager) noexcept;
/// The cgroup of a slice, from that of the manager on: "/a.slice/a-b.slice" for "a-b.slice", ""
/// for "-.slice". Throws `invalid_config` for what is no name of a slice.
std::string systemd_slice_path(const std::string& slice);
/// The cgroup of a unit, from that of its manager on, as systemd will most likely name it.
std::string systemd_unit_path(const SystemdUnit& unit);
/// The cgroup of a unit, seen from that of a process in it or below it; empty where the process is
/// not in it.
std::string systemd_unit_path(const SystemdUnit& unit, const std::string& process_cgroup);

/// A property of a unit as D-Bus has it.
struct UnitProperty {
  std::string name;
  dbus::Value value;
};

/// The properties that annotations ask for: "org.systemd.property.NAME" with a value in GVariant's
/// text format. NAMESec, in seconds, becomes NAMEUSec. Throws `invalid_config`.
std::vector<UnitProperty> annotated_properties(const Spec& spec);
/// What systemd can hold of `settings`, so that it does not take it back when it next writes the
/// unit's cgroup. `version` is systemd's: what came later is left to the cgroup's files alone.
/// Throws `invalid_config` for values that systemd cannot be told. `prefix` is what
/// messages put before a field of linux.resources.
std::vector<UnitProperty> resource_properties(const std::vector<CgroupSetting>& settings,
                                              unsigned version,
                                              std::string_view prefix = config_resources);
/// Those that only a new unit takes: OOMPolicy for memory.oom.group.
std::vector<UnitProperty> creation_properties(const std::vector<CgroupSetting>& settings,
                                              unsigned version);
/// DevicePolicy and DeviceAllow for the same rules as `device_filter_program`. Where they allow
/// everything but some device systemd has no words for them: it is then told to filter nothing, and
/// the container's own filter stands alone.
std::vector<UnitProperty> device_properties(const std::vector<DeviceRule>& rules);
/// Makes `settings` what systemd can hold, so that unit and cgroup say the same: a quota of
/// processor time is rounded up to hundredths of a processor, and an idle cgroup has no weight.
/// Returns what is to be told of that.
std::vector<std::string> adapt_to_systemd(std::vector<CgroupSetting>& settings, unsigned version);

/// A connection to a service manager. Every call waits for at most `patience` and then throws
/// `system` with ETIMEDOUT and what to do.
class Systemd {
 public:
  static constexpr std::chrono::milliseconds default_patience = std::chrono::seconds(30);

  /// The system's manager by its private socket, else by the system bus; a user's by the session
  /// bus, else by its private socket. Throws `unsupported` where there is none, naming what was
  /// tried and what to do.
  static Systemd connect(SystemdManager manager,
                         std::chrono::milliseconds patience = default_patience);
  SystemdManager manager() const noexcept { return manager_; }
  /// 252 of "252.38-1~deb12u1"; 0 where it cannot be told.
  unsigned version() const noexcept { return version_; }
  /// The manager's own cgroup, "" for the root.
  const std::string& control_group() const noexcept { return control_group_; }

  /// Makes a delegated scope with `pid` in it and waits until it is there. A failed unit of that
  /// name is reset, and then it is tried once more. Throws `already_exists` where the name is taken
  /// by a unit that lives.
  void start_scope(const SystemdUnit& unit, pid_t pid, const std::string& description,
                   const std::vector<UnitProperty>& properties);
  /// Changes properties of a unit until its end.
  void set_properties(const std::string& unit, const std::vector<UnitProperty>& properties);
  /// Moves a process into the unit's cgroup.
  void attach(const std::string& unit, pid_t pid);
  /// Stops the unit and has systemd forget it; one that is gone already is no error.
  void stop(const std::string& unit);

 private:
  Systemd(SystemdManager manager, std::chrono::milliseconds patience, std::string where,
          dbus::Connection connection)
      : manager_(manager),
        patience_(patience),
        where_(std::move(where)),
        connection_(std::move(connection)) {}
  void greet();
  dbus::Deadline deadline() const;
  [[noreturn]] void fail_late(std::string_view what) const;
  /// A call of the manager's interface, or of another; the reply may be an error.
  dbus::Message call(dbus::Message call);
  dbus::Message manager_call(const char* member, std::vector<dbus::Value> arguments);
  std::string manager_property(const char* name);
  /// Waits for the end of a job; its result, such as "done".
  std::string job_result(const std::string& job, const std::string& unit);
  void reset_failed(const std::string& unit);

  SystemdManager manager_;
  std::chrono::milliseconds patience_;
  std::string where_;  ///< the socket, for messages
  dbus::Connection connection_;
  bool bus_ = false;  ///< there is a message bus in between
  unsigned version_ = 0;
  std::string control_group_;
};

}  // namespace tare

// Translates device rules to systemd's DeviceAllow list. Its entries only add permissions: a device
// has the permissions of all matching entries.

#include <optional>
#include <string>
#include <utility>

#include "cgroup/device_filter/rules.h"
#include "systemd/systemd.h"

namespace tare {

namespace {

std::string letters(DeviceAccess access) {
  std::string text;
  text.append((access & BPF_DEVCG_ACC_READ) != 0 ? "r" : "");
  text.append((access & BPF_DEVCG_ACC_WRITE) != 0 ? "w" : "");
  text.append((access & BPF_DEVCG_ACC_MKNOD) != 0 ? "m" : "");
  return text;
}

/// The entries of DeviceAllow, a(ss), for one type of device.
class AllowList {
 public:
  explicit AllowList(const char* type) : type_(type) {}

  /// Returns false if systemd cannot express the rules.
  bool add(const DeviceMeaning& meaning) {
    if (!meaning.minors.empty()) {  // systemd has no "any major with this minor"
      return false;
    }
    add_entry(type_ + "-*", meaning.rest);
    for (const auto& [major, access] : meaning.majors) {
      if (!covers(access, meaning.rest)) {
        return false;
      }
      add_entry(type_ + "-" + std::to_string(major), access);
    }
    for (const auto& [number, access] : meaning.devices) {
      const auto major = static_cast<std::int64_t>(number / device_minor_end);
      const auto minor = static_cast<std::int64_t>(number % device_minor_end);
      const DeviceMeaning::Number* whole = DeviceMeaning::find(meaning.majors, major);
      if (!covers(access, whole == nullptr ? meaning.rest : whole->access)) {
        return false;
      }
      add_entry("/dev/" + type_ + "/" + std::to_string(major) + ":" + std::to_string(minor),
                access);
    }
    return true;
  }

  std::vector<dbus::Value> take() { return std::move(entries_); }

 private:
  static bool covers(DeviceAccess access, DeviceAccess other) { return (other & ~access) == 0; }

  void add_entry(const std::string& device, DeviceAccess access) {
    if (access != 0) {
      entries_.push_back(dbus::structure({dbus::string(device), dbus::string(letters(access))}));
    }
  }

  std::string type_;
  std::vector<dbus::Value> entries_;
};

}  // namespace

std::vector<UnitProperty> device_properties(const std::vector<DeviceRule>& rules) {
  const DeviceMeanings meanings = device_meanings(rules);
  AllowList character("char");
  AllowList block("block");
  const bool all_allowed = meanings.character == meanings.block &&
                           meanings.character.is_constant() &&
                           meanings.character.rest == device_access_all;
  if (all_allowed || !character.add(meanings.character) || !block.add(meanings.block)) {
    return {{"DevicePolicy", dbus::string("auto")}};
  }
  std::vector<dbus::Value> entries = character.take();
  for (dbus::Value& entry : block.take()) {
    entries.push_back(std::move(entry));
  }
  return {{"DevicePolicy", dbus::string("strict")},
          {"DeviceAllow", dbus::array("(ss)", std::move(entries))}};
}

}  // namespace tare

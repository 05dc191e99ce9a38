// Properties of a unit in text, for unit tests.
#pragma once

#include <string>
#include <vector>

#include "dbus_value.h"
#include "systemd/systemd.h"

namespace tare::test {

/// Returns each property as "NAME SIGNATURE VALUE".
inline std::vector<std::string> shown(const std::vector<UnitProperty>& properties) {
  std::vector<std::string> lines;
  for (const UnitProperty& each : properties) {
    lines.push_back(each.name + " " + each.value.signature + " " + dbus::show(each.value));
  }
  return lines;
}

}  // namespace tare::test

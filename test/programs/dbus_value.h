// A value of D-Bus in text, for tests.
#pragma once

#include <array>
#include <cstdint>
#include <cstdio>
#include <string>
#include <vector>

#include "systemd/dbus/dbus.h"

namespace tare::dbus {

inline std::string show(const Value& value);

inline std::string show_all(const std::vector<Value>& values, const char* separator) {
  std::string text;
  for (const Value& each : values) {
    text += (text.empty() ? "" : separator) + show(each);
  }
  return text;
}

inline std::string show(const Value& value) {
  switch (value.signature.front()) {
    case 's':
    case 'o':
    case 'g':
      return "'" + value.text + "'";
    case 'b':
      return value.number != 0 ? "true" : "false";
    case 'n':
    case 'i':
    case 'x':
    case 'h':
      return std::to_string(static_cast<std::int64_t>(value.number));
    case 'd': {
      std::array<char, 64> text{};
      std::snprintf(text.data(), text.size(), "%.17g", value.real);
      return text.data();
    }
    case 'v':
      return "<" + value.items.front().signature + " " + show(value.items.front()) + ">";
    case 'a':
      return "[" + show_all(value.items, ", ") + "]";
    case '(':
      return "(" + show_all(value.items, ", ") + ")";
    case '{':
      return show_all(value.items, ": ");
    default:
      return std::to_string(value.number);
  }
}

}  // namespace tare::dbus

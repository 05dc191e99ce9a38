// Errors of the D-Bus wire format.
#pragma once

#include <string>
#include <string_view>

#include "tare/error.h"

namespace tare::dbus {

/// Throws Error (system) "D-Bus: WHAT": a message is malformed or cannot be written.
[[noreturn]] inline void fail_message(std::string_view what) {
  throw Error(ErrorKind::system, "D-Bus: " + std::string(what));
}

}  // namespace tare::dbus

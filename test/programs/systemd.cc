// What is sent to systemd, and how; for test/systemd/requests.test.ts and
// dbus.test.ts.
//
//   systemd unit CGROUPSPATH ID        slice, name, and cgroup of the unit
//   systemd resources VERSION JSON     the properties for a linux.resources object, a line each,
//                                      and what is then written to cpu.max
//   systemd devices JSON               those for its devices
//   systemd annotation KEY VALUE       those for an annotation
//   systemd call ADDRESS MS N          N calls of Peer.Ping one after another, and their answers
//
// An error is printed with its kind, status 1.

#include "systemd/systemd.h"

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "cgroup/cgroup.h"
#include "dbus_value.h"
#include "systemd/dbus/dbus.h"
#include "tare/error.h"
#include "tare/spec.h"

namespace {

namespace dbus = tare::dbus;

void print(const std::string& line) { std::printf("%s\n", line.c_str()); }

using dbus::show;
using dbus::show_all;

void print_properties(const std::vector<tare::UnitProperty>& properties) {
  for (const tare::UnitProperty& each : properties) {
    print(each.name + " " + each.value.signature + " " + show(each.value));
  }
}

tare::Spec spec_with(const std::string& path) {
  tare::Spec spec;
  spec.linux_.cgroups_path = path;
  return spec;
}

void unit(const std::string& path, const std::string& id) {
  tare::SystemdUnit unit = tare::systemd_unit_for(spec_with(path), id);
  const std::string slice = unit.slice;
  if (slice.empty()) {
    unit.slice = tare::systemd_default_slice(tare::SystemdManager::system);
  }
  print("\"" + slice + "\" " + unit.name + " " + tare::systemd_unit_path(unit));
}

void resources(unsigned version, const std::string& json) {
  std::vector<tare::CgroupSetting> settings =
      tare::cgroup_settings(tare::parse_resources(json, "resources"));
  for (const std::string& warning : tare::adapt_to_systemd(settings, version)) {
    print("warning: " + warning);
  }
  print_properties(tare::resource_properties(settings, version));
  print_properties(tare::creation_properties(settings, version));
  for (const tare::CgroupSetting& setting : settings) {
    if (setting.file == "cpu.max") {
      print("cpu.max: " + setting.value);
    }
  }
}

int call(const std::string& address, int milliseconds, int count) {
  for (const dbus::Address& each : dbus::parse_addresses(address)) {
    const auto timeout = std::chrono::milliseconds(milliseconds);
    auto connection = dbus::Connection::open(each, std::chrono::steady_clock::now() + timeout);
    if (!connection) {
      print("no answer");
      return 1;
    }
    dbus::Message ping;
    ping.path = "/org/freedesktop/DBus";
    ping.destination = "org.freedesktop.DBus";
    ping.interface = "org.freedesktop.DBus";
    ping.member = "Hello";
    for (int i = 0; i < count; ++i) {
      const auto reply = connection->call(ping, std::chrono::steady_clock::now() + timeout);
      print(!reply ? "no answer" : reply->error_name + show_all(reply->body, " "));
      ping.interface = "org.freedesktop.DBus.Peer";
      ping.member = "Ping";
    }
    const auto signal = connection->next_signal(std::chrono::steady_clock::now() + timeout);
    print(signal ? "signal " + signal->member : "no signal");
  }
  return 0;
}

int run(const std::vector<std::string>& words) {
  const std::string& verb = words.at(0);
  if (verb == "unit") {
    unit(words.at(1), words.at(2));
  } else if (verb == "resources") {
    resources(static_cast<unsigned>(std::atoi(words.at(1).c_str())), words.at(2));
  } else if (verb == "devices") {
    print_properties(
        tare::device_properties(tare::parse_resources(words.at(1), "resources").devices));
  } else if (verb == "annotation") {
    tare::Spec spec;
    spec.annotations[words.at(1)] = words.at(2);
    print_properties(tare::annotated_properties(spec));
  } else if (verb == "call") {
    return call(words.at(1), std::atoi(words.at(2).c_str()), std::atoi(words.at(3).c_str()));
  } else {
    return 2;
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return run({argv + 1, argv + argc});
  } catch (const tare::Error& error) {
    print(std::string(tare::error_code(error.kind())) + " " + error.what());
    return 1;
  }
}

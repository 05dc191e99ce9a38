// Calls over D-Bus, for test/systemd/dbus.test.ts.
//
//   systemd call ADDRESS MS N          N calls of Peer.Ping one after another, and their answers
//
// An error is printed with its kind, status 1.

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "dbus_value.h"
#include "systemd/dbus/dbus.h"
#include "tare/error.h"

namespace {

namespace dbus = tare::dbus;

void print(const std::string& line) { std::printf("%s\n", line.c_str()); }

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
      print(!reply ? "no answer" : reply->error_name + dbus::show_all(reply->body, " "));
      ping.interface = "org.freedesktop.DBus.Peer";
      ping.member = "Ping";
    }
    const auto signal = connection->next_signal(std::chrono::steady_clock::now() + timeout);
    print(signal ? "signal " + signal->member : "no signal");
  }
  return 0;
}

int run(const std::vector<std::string>& words) {
  if (words.at(0) != "call") {
    return 2;
  }
  return call(words.at(1), std::atoi(words.at(2).c_str()), std::atoi(words.at(3).c_str()));
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

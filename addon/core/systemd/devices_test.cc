// Device rules as DevicePolicy and DeviceAllow.
#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "systemd/doctest_properties.h"
#include "systemd/systemd.h"
#include "tare/spec.h"

namespace {

std::vector<std::string> from_rules(const std::string& rules) {
  return tare::test::shown(tare::device_properties(
      tare::parse_resources(R"({"devices":[)" + rules + "]}", "RESOURCES").devices));
}

}  // namespace

TEST_CASE("device rules as an allow list") {
  struct Case {
    std::string rules;
    std::string block_devices;
  };
  // Character devices that every container may use.
  const std::string always =
      "('char-*', 'm'), ('char-136', 'rwm'), ('/dev/char/1:3', 'rwm'), ('/dev/char/1:5', 'rwm'), "
      "('/dev/char/1:7', 'rwm'), ('/dev/char/1:8', 'rwm'), ('/dev/char/1:9', 'rwm'), "
      "('/dev/char/5:0', 'rwm'), ('/dev/char/5:2', 'rwm'), ('/dev/char/10:200', 'rwm')";
  const std::vector<Case> cases = {
      {"", "('block-*', 'm')"},
      {R"({"allow":false,"access":"rwm"})", "('block-*', 'm')"},
      {R"({"allow":false,"access":"rwm"},{"allow":true,"type":"b","major":8,"minor":0,"access":"r"})",
       "('block-*', 'm'), ('/dev/block/8:0', 'rm')"},
      {R"({"allow":false,"access":"rwm"},{"allow":true,"type":"b","major":8,"access":"rw"})",
       "('block-*', 'm'), ('block-8', 'rwm')"},
  };
  for (const Case& each : cases) {
    CAPTURE(each.rules);
    CHECK(from_rules(each.rules) ==
          std::vector<std::string>{
              "DevicePolicy s 'strict'",
              "DeviceAllow a(ss) [" + always + ", " + each.block_devices + "]",
          });
  }
}

TEST_CASE("systemd does not filter devices by rules that an allow list cannot express") {
  for (
      const char* const rules : {
          // Everything is allowed.
          R"({"allow":true,"access":"rwm"})",
          // Everything but one device.
          R"({"allow":true,"access":"rwm"},{"allow":false,"type":"c","major":1,"minor":11,"access":"rwm"})",
          // A whole major number but one device.
          R"({"allow":false,"access":"rwm"},{"allow":true,"type":"b","major":8,"access":"rw"},{"allow":false,"type":"b","major":8,"minor":1,"access":"w"})",
          // One minor number of any major number.
          R"({"allow":false,"access":"rwm"},{"allow":true,"type":"c","minor":7,"access":"r"})",
      }) {
    CAPTURE(rules);
    CHECK(from_rules(rules) == std::vector<std::string>{"DevicePolicy s 'auto'"});
  }
}

// Annotations as properties of a unit.
#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "base/doctest_error.h"
#include "systemd/doctest_properties.h"
#include "systemd/systemd.h"

namespace {

std::vector<std::string> from_annotation(const std::string& key, const std::string& value) {
  tare::Spec spec;
  spec.annotations[key] = value;
  return tare::test::shown(tare::annotated_properties(spec));
}

}  // namespace

TEST_CASE("annotations as properties") {
  struct Case {
    std::string name;
    std::string value;
    std::string property;
  };
  const std::vector<Case> cases = {
      {"TimeoutStopUSec", "uint64 123456789", "TimeoutStopUSec t 123456789"},
      {"TimeoutStopSec", "456", "TimeoutStopUSec t 456000000"},
      {"TimeoutStopSec", "byte 234", "TimeoutStopUSec t 234000000"},
      {"TimeoutStopSec", "int16 234", "TimeoutStopUSec t 234000000"},
      {"TimeoutStopSec", "uint64 234", "TimeoutStopUSec t 234000000"},
      {"TimeoutStopSec", "234.789", "TimeoutStopUSec t 234789000"},
      {"FOOSec", "123", "FOOSec i 123"},
      {"Sec", "123", "Sec i 123"},
      {"CollectMode", "'inactive-or-failed'", "CollectMode s 'inactive-or-failed'"},
      {"After", "['a.service', 'b.service']", "After as ['a.service', 'b.service']"},
      {"Delegate", "false", "Delegate b false"},
  };
  for (const Case& each : cases) {
    CAPTURE(each.name);
    CAPTURE(each.value);
    CHECK(from_annotation("org.systemd.property." + each.name, each.value) ==
          std::vector<std::string>{each.property});
  }
  CHECK(from_annotation("some.other", "!").empty());
}

TEST_CASE("invalid annotations") {
  struct Case {
    std::string name;
    std::string value;
    std::string message;
  };
  const std::vector<Case> cases = {
      {"TimeoutStopSec", "false", "value parse error: invalid number of seconds false"},
      {"TimeoutStopSec", "'x'", "value parse error: invalid number of seconds 'x'"},
      {"TimeoutStopSec", "-1", "value parse error: invalid number of seconds -1"},
      {"TimeoutStopSec", "-0.5", "value parse error: invalid number of seconds -0.5"},
      {"TimeoutStopSec", "uint64 18446744073710",
       "value parse error: invalid number of seconds uint64 18446744073710"},
      {"Xo", "1", "name incorrect: too short for a property of a unit"},
      {"Number1", "1",
       "name incorrect: contains non-alphabetic character; properties of units have letters only"},
      {"ValidName", "invalid-value",
       "value parse error: invalid value \"invalid\"; put a text in quotation marks, at character "
       "1 of invalid-value; it is written in GVariant's text format, such as 'text', true or "
       "uint64 5"},
  };
  for (const Case& each : cases) {
    CAPTURE(each.name);
    CAPTURE(each.value);
    const std::string key = "org.systemd.property." + each.name;
    CHECK(tare::test::error_of([&] { from_annotation(key, each.value); }) ==
          "ERR_TARE_INVALID_CONFIG config.json: annotations[\"" + key + "\"]: " + each.message);
  }
}

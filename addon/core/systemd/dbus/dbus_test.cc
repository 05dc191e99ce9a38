// D-Bus: values, messages and addresses as in the specification.
#include "systemd/dbus/dbus.h"

#include <doctest/doctest.h>

#include <array>
#include <charconv>
#include <cstdio>
#include <string>
#include <string_view>
#include <vector>

#include "base/doctest_error.h"
#include "dbus_value.h"

namespace {

namespace dbus = tare::dbus;

std::string hex(std::string_view bytes) {
  std::string text;
  for (const char c : bytes) {
    std::array<char, 3> digits{};
    std::snprintf(digits.data(), digits.size(), "%02x", static_cast<unsigned char>(c));
    text += digits.data();
  }
  return text;
}

std::string bytes_of(std::string_view hex) {
  std::string bytes;
  for (std::size_t at = 0; at + 1 < hex.size(); at += 2) {
    unsigned byte = 0;
    std::from_chars(hex.data() + at, hex.data() + at + 2, byte, 16);
    bytes.push_back(static_cast<char>(byte));
  }
  return bytes;
}

std::string marshalled(const dbus::Value& value) {
  std::string bytes;
  dbus::marshal(bytes, value);
  return bytes;
}

/// The sockets of an address list; "@" marks an abstract one.
std::vector<std::string> addresses(std::string_view list) {
  std::vector<std::string> paths;
  for (const dbus::Address& each : dbus::parse_addresses(list)) {
    paths.push_back((each.abstract ? "@" : "") + each.path);
  }
  return paths;
}

}  // namespace

TEST_CASE("values in text, and their bytes") {
  struct Case {
    std::string text;
    std::string signature;
    std::string value;
    std::string bytes;
  };
  // A string is aligned to 4 bytes, and an array's length excludes the padding at its end. The
  // first element of an array of structs is aligned to 8 bytes, even if there is none.
  const std::vector<Case> cases = {
      {"'abc'", "s", "'abc'", "0300000061626300"},
      {R"("a\"b\u00e4")", "s", R"('a"bä')", "05000000612262c3a400"},
      {"uint64 18446744073709551615", "t", "18446744073709551615", "ffffffffffffffff"},
      {"int64 -9223372036854775808", "x", "-9223372036854775808", "0000000000000080"},
      {"-5", "i", "-5", "fbffffff"},
      {"0x10", "i", "16", "10000000"},
      {"byte 255", "y", "255", "ff"},
      {"int16 -1", "n", "-1", "ffff"},
      {"true", "b", "true", "01000000"},
      {" boolean false ", "b", "false", "00000000"},
      {"1.5", "d", "1.5", "000000000000f83f"},
      {"-2.5e-1", "d", "-0.25", "000000000000d0bf"},
      {"objectpath '/a'", "o", "'/a'", "020000002f6100"},
      {"signature 'as'", "g", "'as'", "02617300"},
      {"b'xy'", "ay", "[120, 121, 0]", "03000000787900"},
      {"['a', 'b']", "as", "['a', 'b']", "0e0000000100000061000000010000006200"},
      {"@as []", "as", "[]", "00000000"},
      {"@a(ss) []", "a(ss)", "[]", "0000000000000000"},
      {"[('/x', 'rw')]", "a(ss)", "[('/x', 'rw')]",
       "0f00000000000000020000002f78000002000000727700"},
      {"(byte 1, uint64 2)", "(yt)", "(1, 2)", "01000000000000000200000000000000"},
      {"{'a': <1>}", "a{sv}", "['a': <i 1>]", "100000000000000001000000610001690000000001000000"},
      {"@a{sv} {}", "a{sv}", "[]", "0000000000000000"},
      {"<@ai [1]>", "v", "<ai [1]>", "026169000400000001000000"},
  };
  for (const Case& each : cases) {
    CAPTURE(each.text);
    const dbus::Value value = dbus::parse_text(each.text);
    CHECK(value.signature == each.signature);
    CHECK(dbus::show(value) == each.value);
    CHECK(hex(marshalled(value)) == each.bytes);
    const std::vector<dbus::Value> again = dbus::unmarshal(marshalled(value), each.signature);
    REQUIRE(again.size() == 1);
    CHECK(hex(marshalled(again.front())) == each.bytes);
  }
}

TEST_CASE("invalid texts") {
  struct Case {
    std::string text;
    std::string message;
  };
  const std::vector<Case> cases = {
      {"", "a value is missing, at character 1 of "},
      {"abc", R"(invalid value "abc"; put a text in quotation marks, at character 1 of abc)"},
      {"'abc", "the closing quotation mark is missing, at character 5 of 'abc"},
      {"1 2", "unexpected text after the value, at character 3 of 1 2"},
      {"byte 256", "invalid value 256 of type y, at character 6 of byte 256"},
      {"uint32 -1", "invalid value -1 of type u, at character 8 of uint32 -1"},
      {"4294967296", "invalid value 4294967296 of type i, at character 1 of 4294967296"},
      {"uint32 'x'",
       "expected a value of type u, got one of type s, at character 11 of uint32 'x'"},
      {"[1, 'a']", "expected a value of type i, got one of type s, at character 8 of [1, 'a']"},
      {"[]", "an empty array needs its type, such as @as [], at character 3 of []"},
      {"()", "D-Bus has no empty tuple, at character 3 of ()"},
      {"[1", R"("," is missing, at character 3 of [1)"},
      {"@z 1", R"("@" must be followed by a type, at character 2 of @z 1)"},
      {R"('\ud800')", R"(invalid character number, at character 4 of '\ud800')"},
      {R"('a\u0000')", R"(a text must not contain a NUL, at character 10 of 'a\u0000')"},
      {"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[",
       "nested deeper than 32 levels, at character 34 of [[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[["},
  };
  for (const Case& each : cases) {
    CAPTURE(each.text);
    CHECK(tare::test::error_of([&] { dbus::parse_text(each.text); }) ==
          "ERR_TARE_INVALID_ARGUMENT " + each.message);
  }
}

TEST_CASE("invalid bytes") {
  struct Case {
    std::string signature;
    std::string bytes;
    std::string message;
  };
  const std::vector<Case> cases = {
      {"s", "05000000616263", "a message ends within a value"},
      {"as", "ffffff00", "a message ends within an array"},
      {"au", "050000000100000002", "a message ends within a value"},
      {"a(u", "00000000", "a message has the type a(u"},
      {"v", "0000", "a variant has the type "},
      {"v", "0275750001000000", "a variant has the type uu"},
      {"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaau",
       "00000000",
       "a message has the type "
       "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaau"},
      {"v",
       "0176000176000176000176000176000176000176000176000176000176000176000176000176000176000176000"
       "1760001760001760001760001760001760001760001760001760001760001760001760001760001760001760001"
       "7600017600017600017600017600017600017600017600017600017600017600017600017600017600017600017"
       "6000176000176000176000176000176000176000176000176000176000176000176000176000176000176000176"
       "00017600017600017600017600017600017600017600017600017600",
       "a message is nested too deep"},
  };
  for (const Case& each : cases) {
    CAPTURE(each.signature);
    CAPTURE(each.bytes);
    CHECK(tare::test::error_of([&] { dbus::unmarshal(bytes_of(each.bytes), each.signature); }) ==
          "ERR_TARE_SYSTEM D-Bus: " + each.message);
  }
  CHECK(dbus::show_all(dbus::unmarshal(bytes_of("fefffffffeffffff01000000"), "nqib"), " ") ==
        "-2 65535 -2 true");
}

TEST_CASE("addresses") {
  using Paths = std::vector<std::string>;
  CHECK(addresses("unix:path=/run/user/1000/bus") == Paths{"/run/user/1000/bus"});
  CHECK(addresses("unix:abstract=/tmp/x,guid=12") == Paths{"@/tmp/x"});
  CHECK(addresses("tcp:host=localhost;unix:path=/a%20b%3b,guid=1;unix:path=/c") ==
        Paths{"/a b;", "/c"});
  CHECK(addresses("nonsense").empty());
}

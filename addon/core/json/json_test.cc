#include "json/json.h"

#include <doctest/doctest.h>

#include <string>

#include "base/doctest_error.h"
#include "json/fields.h"

namespace {

using tare::json::Document;
using tare::json::Value;
using tare::json::Writer;
using tare::test::error_of;

std::string parse_error(const std::string& text) {
  return error_of([&text] { const Document document(text, "FILE"); });
}

/// The error of `read` for the member "a" of the document.
template <typename Read>
std::string read_error(const std::string& text, Read read) {
  const Document document(text, "FILE");
  return error_of([&] { read(document.root().at("a")); });
}

struct Point {
  std::uint16_t x = 0;
  std::string name;
};

constexpr tare::json::Field<Point> point_fields[] = {
    {"x", tare::json::read_member<&Point::x>, tare::json::required},
    {"name", tare::json::read_member<&Point::name>},
};

Point point(const std::string& text) {
  const Document document(text, "FILE");
  Point result;
  tare::json::read_fields(result, document.root(), point_fields);
  return result;
}

}  // namespace

TEST_CASE("a parse error names line and column in characters") {
  CHECK(parse_error("{\n \"\xc3\xa4\": x}") ==
        "ERR_TARE_INVALID_CONFIG FILE: line 2, column 7: expected a JSON value");
  CHECK(parse_error("") == "ERR_TARE_INVALID_CONFIG FILE: line 1, column 1: the text is empty");
  CHECK(parse_error("{} {}") ==
        "ERR_TARE_INVALID_CONFIG FILE: line 1, column 4: text follows the end of the JSON value");
  CHECK(parse_error(std::string("{}\0{}", 5)).ends_with("a NUL byte, where JSON text is expected"));
  CHECK(parse_error("[\"\xff\"]").ends_with("column 3: a byte that is not UTF-8"));
  CHECK(parse_error("[\"\n\"]")
            .ends_with("a control character in a string; write it as an escape sequence"));
  CHECK(parse_error(R"(["\ud800"])").ends_with("both halves of a \\u pair are needed"));
}

TEST_CASE("nesting is limited to 64 levels") {
  const auto nested = [](std::size_t depth) {
    return std::string(depth, '[') + std::string(depth, ']');
  };
  CHECK(parse_error(nested(64)).empty());
  CHECK(parse_error(nested(65)).ends_with("nested deeper than 64 levels"));
}

TEST_CASE("the error of a value names its path, and what it is") {
  const auto error = [](const std::string& text) {
    return read_error(text, [](const Value& value) {
      value.for_each_element([](const Value& each) { each.at("b.c").as_uint16(); });
    });
  };
  CHECK(error(R"({"a": [{"b.c": 1}]})").empty());
  CHECK(error(R"({"a": [{"b.c": 1}, {"b.c": 65536}]})") ==
        "ERR_TARE_INVALID_CONFIG FILE: a[1][\"b.c\"]: expected an integer from 0 to 65535, got "
        "65536");
  CHECK(error(R"({"a": [{"b.c": 1.5}]})").ends_with("got 1.5"));
  CHECK(error(R"({"a": 7})").ends_with("FILE: a: expected an array, got 7"));
}

TEST_CASE("integers keep their whole range") {
  const Document document("[-9223372036854775808, 18446744073709551615]", "FILE");
  std::vector<std::string> seen;
  document.root().for_each_element([&seen](const Value& value) {
    seen.push_back(seen.empty() ? std::to_string(value.as_int64())
                                : std::to_string(value.as_uint64()));
  });
  CHECK(seen == std::vector<std::string>{"-9223372036854775808", "18446744073709551615"});
  CHECK(read_error("{\"a\": 18446744073709551616}", [](const Value& value) {
          value.as_uint64();
        }).find("expected an integer from 0 to 18446744073709551615") != std::string::npos);
}

TEST_CASE("a table reads members in any case, and reports absent and repeated ones") {
  CHECK(point(R"({"X": 3, "name": null, "unknown": {}})").x == 3);
  CHECK(point(R"({"x": 3, "NAME": "n"})").name == "n");
  CHECK(error_of([] { point(R"({"name": "n"})"); }).find("FILE: x") != std::string::npos);
  CHECK(error_of([] { point(R"({"x": 1, "x": 2})"); }).ends_with("x appears twice; keep one"));
  CHECK(error_of([] {
          point(R"({"x": 1, "name": "\u0000"})");
        }).ends_with("FILE: name: contains a NUL character; remove it"));
}

TEST_CASE("what is written is valid JSON, whatever the strings contain") {
  Writer writer;
  writer.begin_object().key("a\"\\\n\x01").string("\xff\xc3\xa4").key("b").begin_array();
  writer.number(-1).number_unsigned(18446744073709551615U).number_hundredths(1250).boolean(true);
  writer.null().json("{}").begin_object().end_object().end_array().end_object();
  const std::string text = writer.take();
  CHECK(text ==
        "{\"a\\\"\\\\\\n\\u0001\":\"\xef\xbf\xbd\xc3\xa4\","
        "\"b\":[-1,18446744073709551615,12.5,true,null,{},{}]}");
  CHECK(parse_error(text).empty());
  CHECK(writer.take().empty());
}

TEST_CASE("members of an object that is text") {
  Writer writer;
  writer.begin_object();
  writer.members("{}").members(R"({"a":1})").members("{ }").members(R"({"b":{"c":2}})");
  writer.key("d").number(3);
  writer.end_object();
  CHECK(writer.take() == R"({"a":1,"b":{"c":2},"d":3})");
}

TEST_CASE("indentation") {
  Writer writer(2);
  writer.begin_object().key("a").begin_array().number(1).end_array().key("b").begin_array();
  CHECK(writer.end_array().end_object().take() == "{\n  \"a\": [\n    1\n  ],\n  \"b\": []\n}");
}

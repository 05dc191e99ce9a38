#include "json/json.h"

// Finds the ends of strings sixteen bytes at a time; does not detect invalid UTF-8 in them.
#ifdef __SSE2__
#define RAPIDJSON_SSE2
#endif
#include <rapidjson/document.h>
#include <rapidjson/error/error.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <limits>
#include <vector>

#include "base/utf8.h"
#include "tare/error.h"

namespace tare::json {

namespace {

using Node = rapidjson::Value;

/// No format parsed here needs deeper nesting, and parsing and searching are recursive.
constexpr int depth_limit = 64;

const Node& node_of(const void* node) { return *static_cast<const Node*>(node); }

std::string_view text_of(const Node& node) { return {node.GetString(), node.GetStringLength()}; }

/// Forwards all events to the document under construction and limits the depth.
class DepthCheck {
 public:
  explicit DepthCheck(rapidjson::Document& document) : document_(document) {}

  bool Null() { return document_.Null(); }
  bool Bool(bool value) { return document_.Bool(value); }
  bool Int(int value) { return document_.Int(value); }
  bool Uint(unsigned value) { return document_.Uint(value); }
  bool Int64(std::int64_t value) { return document_.Int64(value); }
  bool Uint64(std::uint64_t value) { return document_.Uint64(value); }
  bool Double(double value) { return document_.Double(value); }
  bool RawNumber(const char* text, rapidjson::SizeType length, bool copy) {
    return document_.RawNumber(text, length, copy);
  }
  bool String(const char* text, rapidjson::SizeType length, bool copy) {
    return document_.String(text, length, copy);
  }
  bool Key(const char* text, rapidjson::SizeType length, bool copy) {
    return document_.Key(text, length, copy);
  }
  bool StartObject() { return ++depth_ <= depth_limit && document_.StartObject(); }
  bool EndObject(rapidjson::SizeType count) {
    --depth_;
    return document_.EndObject(count);
  }
  bool StartArray() { return ++depth_ <= depth_limit && document_.StartArray(); }
  bool EndArray(rapidjson::SizeType count) {
    --depth_;
    return document_.EndArray(count);
  }

 private:
  rapidjson::Document& document_;
  int depth_ = 0;
};

/// Callback of `rapidjson::Document::Populate`.
struct Generator {
  char* text;
  rapidjson::ParseResult result;

  bool operator()(rapidjson::Document& document) {
    rapidjson::InsituStringStream stream(text);
    rapidjson::Reader reader;
    DepthCheck handler(document);
    result = reader.Parse<rapidjson::kParseInsituFlag>(stream, handler);
    return !result.IsError();
  }
};

const char* parse_error_text(rapidjson::ParseErrorCode code) {
  switch (code) {
    case rapidjson::kParseErrorDocumentEmpty:
      return "the text is empty";
    case rapidjson::kParseErrorDocumentRootNotSingular:
      return "text follows the end of the JSON value";
    case rapidjson::kParseErrorValueInvalid:
      return "expected a JSON value";
    case rapidjson::kParseErrorObjectMissName:
      return "expected a member name in double quotes, or }";
    case rapidjson::kParseErrorObjectMissColon:
      return "expected a colon after the member name";
    case rapidjson::kParseErrorObjectMissCommaOrCurlyBracket:
      return "expected a comma or } after the member";
    case rapidjson::kParseErrorArrayMissCommaOrSquareBracket:
      return "expected a comma or ] after the element";
    case rapidjson::kParseErrorStringUnicodeEscapeInvalidHex:
      return "expected four hexadecimal digits after \\u";
    case rapidjson::kParseErrorStringUnicodeSurrogateInvalid:
      return "a surrogate stands alone; both halves of a \\u pair are needed";
    case rapidjson::kParseErrorStringEscapeInvalid:
      return "unknown escape sequence in a string";
    case rapidjson::kParseErrorStringMissQuotationMark:
      return "the string has no closing quotation mark";
    case rapidjson::kParseErrorNumberTooBig:
      return "the number is too big";
    case rapidjson::kParseErrorNumberMissFraction:
      return "expected a digit after the decimal point";
    case rapidjson::kParseErrorNumberMissExponent:
      return "expected a digit in the exponent";
    case rapidjson::kParseErrorTermination:
      return "nested deeper than 64 levels";
    default:
      return "not valid JSON";
  }
}

[[noreturn]] void fail_at(const std::string& name, std::string_view text, std::size_t offset,
                          std::string_view message) {
  const std::string_view before = text.substr(0, std::min(offset, text.size()));
  const auto line = std::count(before.begin(), before.end(), '\n') + 1;
  const std::size_t line_start = before.rfind('\n') + 1;
  // Counts characters, as editors do: skips the continuation bytes of UTF-8.
  const auto column =
      std::count_if(before.begin() + static_cast<std::ptrdiff_t>(line_start), before.end(),
                    [](char byte) { return (static_cast<unsigned char>(byte) & 0xC0) != 0x80; }) +
      1;
  throw Error(ErrorKind::invalid_config, name + ": line " + std::to_string(line) + ", column " +
                                             std::to_string(column) + ": " + std::string(message));
}

/// Returns the actual type for "expected a string, got …".
std::string describe(const Node& node) {
  if (node.IsNull()) {
    return "null";
  }
  if (node.IsBool()) {
    return node.GetBool() ? "true" : "false";
  }
  if (node.IsObject()) {
    return "an object";
  }
  if (node.IsArray()) {
    return "an array";
  }
  if (node.IsString()) {
    constexpr std::size_t enough = 60;
    const std::string_view text = text_of(node);
    Writer writer;
    writer.string(text.substr(0, enough));
    return "the string " + writer.take() + (text.size() > enough ? "…" : "");
  }
  if (node.IsUint64()) {
    return std::to_string(node.GetUint64());
  }
  if (node.IsInt64()) {
    return std::to_string(node.GetInt64());
  }
  std::array<char, 32> digits;
  std::snprintf(digits.data(), digits.size(), "%.17g", node.GetDouble());
  return digits.data();
}

/// Appends to `path` the path from `from` to `target`; returns false if `target` is not below
/// `from`.
bool find_path(const Node& from, const Node& target, std::string& path) {
  if (&from == &target) {
    return true;
  }
  const std::size_t length = path.size();
  if (from.IsObject()) {
    for (const auto& member : from.GetObject()) {
      path += path_step(text_of(member.name), length == 0);
      if (find_path(member.value, target, path)) {
        return true;
      }
      path.resize(length);
    }
  } else if (from.IsArray()) {
    for (rapidjson::SizeType i = 0; i < from.Size(); ++i) {
      path += "[" + std::to_string(i) + "]";
      if (find_path(from[i], target, path)) {
        return true;
      }
      path.resize(length);
    }
  }
  return false;
}

[[noreturn]] void fail_with(ErrorKind kind, const std::string& name, const std::string& path,
                            std::string_view message) {
  Error error(kind, name + ": " + path + (path.empty() ? "" : ": ") + std::string(message));
  error.with_path(path);
  throw error;
}

}  // namespace

namespace {

/// Returns a copy that may be read up to fifteen bytes beyond its end, as required by the SSE2
/// string scan.
std::string padded(const std::string& text) {
  std::string copy;
  copy.reserve(text.size() + 16);
  copy.append(text);
  return copy;
}

}  // namespace

struct Document::Parsed {
  explicit Parsed(const std::string& source)
      : text(padded(source)),
        // Values take about as many bytes as their text; unused memory is never touched.
        allocator(std::max<std::size_t>(source.size(), 4096)),
        document(&allocator, 4096) {}

  std::string text;
  rapidjson::MemoryPoolAllocator<> allocator;
  rapidjson::Document document;
};

Document::Document(std::string text, std::string name)
    : name_(std::move(name)), root_(nullptr, this) {
  // rapidjson treats a NUL as the end of the text and would ignore the rest.
  if (const std::size_t nul = text.find('\0'); nul != std::string::npos) {
    fail_at(name_, text, nul, "a NUL byte, where JSON text is expected");
  }
  if (const std::size_t valid = valid_utf8_prefix(text); valid < text.size()) {
    fail_at(name_, text, valid, "a byte that is not UTF-8");
  }
  // Parsing decodes strings in place; lines and columns refer to the original text.
  parsed_ = std::make_unique<Parsed>(text);
  Generator generator{parsed_->text.data(), {}};
  parsed_->document.Populate(generator);
  if (generator.result.IsError()) {
    const std::size_t offset = generator.result.Offset();
    const bool control = offset < text.size() && static_cast<unsigned char>(text[offset]) < ' ';
    // rapidjson reports a control character in a string as a bad escape sequence.
    const bool raw =
        generator.result.Code() == rapidjson::kParseErrorStringEscapeInvalid && control;
    fail_at(name_, text, offset,
            raw ? "a control character in a string; write it as an escape sequence"
                : parse_error_text(generator.result.Code()));
  }
  root_ = Value(static_cast<const Node*>(&parsed_->document), this);
}

Document::~Document() = default;

bool Value::is_null() const { return node_of(node_).IsNull(); }
bool Value::is_object() const { return node_of(node_).IsObject(); }
bool Value::is_array() const { return node_of(node_).IsArray(); }
bool Value::is_string() const { return node_of(node_).IsString(); }

bool Value::as_bool() const {
  if (!node_of(node_).IsBool()) {
    fail_expecting("true or false");
  }
  return node_of(node_).GetBool();
}

std::string_view Value::as_string() const {
  if (!is_string()) {
    fail_expecting("a string");
  }
  return text_of(node_of(node_));
}

std::int64_t Value::as_int64() const {
  if (!node_of(node_).IsInt64()) {
    fail_expecting("an integer from -9223372036854775808 to 9223372036854775807");
  }
  return node_of(node_).GetInt64();
}

std::uint64_t Value::as_uint64() const {
  if (!node_of(node_).IsUint64()) {
    fail_expecting("an integer from 0 to 18446744073709551615");
  }
  return node_of(node_).GetUint64();
}

std::int32_t Value::as_int32() const {
  if (!node_of(node_).IsInt()) {
    fail_expecting("an integer from -2147483648 to 2147483647");
  }
  return node_of(node_).GetInt();
}

std::uint32_t Value::as_uint32() const {
  if (!node_of(node_).IsUint()) {
    fail_expecting("an integer from 0 to 4294967295");
  }
  return node_of(node_).GetUint();
}

std::uint16_t Value::as_uint16() const {
  if (!node_of(node_).IsUint() || node_of(node_).GetUint() > 65535) {
    fail_expecting("an integer from 0 to 65535");
  }
  return static_cast<std::uint16_t>(node_of(node_).GetUint());
}

void Value::for_each_member(
    const std::function<void(std::string_view, const Value&)>& visit) const {
  if (!is_object()) {
    fail_expecting("an object");
  }
  const auto members = node_of(node_).GetObject();
  std::vector<std::string_view> keys;
  keys.reserve(members.MemberCount());
  for (const auto& member : members) {
    keys.push_back(text_of(member.name));
  }
  std::sort(keys.begin(), keys.end());
  const auto repeated = std::adjacent_find(keys.begin(), keys.end());
  if (repeated != keys.end()) {
    fail("the member " + path_step(*repeated, true) + " appears twice; keep one");
  }
  for (const auto& member : members) {
    visit(text_of(member.name), Value(&member.value, document_));
  }
}

void Value::for_each_element(const std::function<void(const Value&)>& visit) const {
  if (!is_array()) {
    fail_expecting("an array");
  }
  for (const auto& element : node_of(node_).GetArray()) {
    visit(Value(&element, document_));
  }
}

std::optional<Value> Value::find(std::string_view key) const {
  if (!is_object()) {
    fail_expecting("an object");
  }
  for (const auto& member : node_of(node_).GetObject()) {
    if (text_of(member.name) == key) {
      if (member.value.IsNull()) {
        return std::nullopt;
      }
      return Value(&member.value, document_);
    }
  }
  return std::nullopt;
}

Value Value::at(std::string_view key) const {
  const std::optional<Value> found = find(key);
  if (!found) {
    fail_missing(key);
  }
  return *found;
}

std::size_t Value::size() const {
  const Node& node = node_of(node_);
  return node.IsObject() ? node.MemberCount() : node.IsArray() ? node.Size() : 0;
}

std::string Value::path() const {
  std::string path;
  find_path(node_of(document_->root().node_), node_of(node_), path);
  return path;
}

void Value::fail(std::string_view message) const {
  fail_with(ErrorKind::invalid_config, document_->name(), path(), message);
}

void Value::fail_missing(std::string_view key) const {
  std::string place = path();
  place += path_step(key, place.empty());
  fail_with(ErrorKind::invalid_config, document_->name(), place, "is missing; add it");
}

void Value::fail_expecting(std::string_view what) const {
  fail("expected " + std::string(what) + ", got " + describe(node_of(node_)));
}

std::string path_step(std::string_view key, bool first) {
  const bool plain = !key.empty() && std::all_of(key.begin(), key.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '-';
  });
  if (plain) {
    return (first ? "" : ".") + std::string(key);
  }
  Writer writer;
  writer.begin_array().string(key).end_array();
  return writer.take();
}

}  // namespace tare::json

// Values of a parsed document, and the paths that errors name.
#include <algorithm>
#include <array>
#include <cstdio>
#include <vector>

#include "json/json.h"
#include "json/node.h"
#include "tare/error.h"

namespace tare::json {

namespace {

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
  std::string member_path = path();
  member_path += path_step(key, member_path.empty());
  fail_with(ErrorKind::invalid_config, document_->name(), member_path, "is missing; add it");
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

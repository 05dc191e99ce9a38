/// \file
/// JSON for the core: values that know their location in the document, so that every error names it
/// (`config.json: linux.namespaces[2].type: …`). Parsing uses rapidjson.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace tare::json {

class Document;

/// A value inside a Document. Two pointers: cheap to copy, and valid while the Document lives.
class Value {
 public:
  bool is_null() const;
  bool is_object() const;
  bool is_array() const;
  bool is_string() const;

  /// The getters throw `invalid_config` with the location, the expected type and the actual one.
  bool as_bool() const;
  std::string_view as_string() const;
  std::int64_t as_int64() const;
  std::uint64_t as_uint64() const;
  std::int32_t as_int32() const;
  std::uint32_t as_uint32() const;
  std::uint16_t as_uint16() const;

  /// Calls `visit` for each member in order; throws for a repeated key.
  void for_each_member(const std::function<void(std::string_view, const Value&)>& visit) const;
  void for_each_element(const std::function<void(const Value&)>& visit) const;
  /// Returns the member `key`; none if absent or null.
  std::optional<Value> find(std::string_view key) const;
  /// Returns the member `key`; throws `invalid_config` if absent or null.
  Value at(std::string_view key) const;
  /// Returns the number of members or elements; 0 for other types.
  std::size_t size() const;

  /// Returns the path, `linux.namespaces[2].type`; empty for the whole document. Searches the
  /// document for this value, so that only values with errors pay for it.
  std::string path() const;
  /// Throws `invalid_config` "NAME: PATH: message".
  [[noreturn]] void fail(std::string_view message) const;
  /// Throws the same for a required member `key` that is absent.
  [[noreturn]] void fail_missing(std::string_view key) const;

 private:
  friend class Document;
  Value(const void* node, const Document* document) : node_(node), document_(document) {}
  [[noreturn]] void fail_expecting(std::string_view what) const;

  const void* node_;
  const Document* document_;
};

/// A parsed document. Rejects invalid text by RFC 8259, nesting deeper than 64 and trailing text,
/// with line and column.
class Document {
 public:
  /// `name` denotes the text in errors, e.g. "config.json".
  Document(std::string text, std::string name);
  ~Document();
  Document(const Document&) = delete;
  Document& operator=(const Document&) = delete;
  /// The top-level value.
  const Value& root() const { return root_; }
  const std::string& name() const { return name_; }

 private:
  struct Parsed;
  std::string name_;
  std::unique_ptr<Parsed> parsed_;
  Value root_;
};

/// Returns the path component of a member in errors: ".type", or `["net.core.somaxconn"]` for a key
/// that is not a plain word. Without the dot at the start of a path.
std::string path_step(std::string_view key, bool first);

/// Builds JSON text. `indent` 0 writes one line without spaces; otherwise that many spaces, or a
/// tab for -1. Invalid UTF-8 in strings becomes U+FFFD, so that the text is always valid JSON.
class Writer {
 public:
  explicit Writer(int indent = 0);

  Writer& begin_object();
  Writer& end_object();
  Writer& begin_array();
  Writer& end_array();
  Writer& key(std::string_view name);
  Writer& string(std::string_view value);
  Writer& number(std::int64_t value);
  Writer& number_unsigned(std::uint64_t value);
  /// Writes `value` / 100 without trailing zeros: 1250 is 12.5.
  Writer& number_hundredths(std::uint64_t value);
  Writer& boolean(bool value);
  Writer& null();
  /// Writes a value that is already JSON.
  Writer& json(std::string_view text);
  /// Writes the members of `object`, which is the text of a JSON object, as members of the object
  /// that is being written.
  Writer& members(std::string_view object);
  /// Returns the text; the writer is empty afterwards.
  std::string take();

 private:
  /// Writes the comma, line break and indentation that precede the next key or value.
  void separate();
  void break_line();
  Writer& open(char bracket);
  Writer& close(char bracket);
  void quote(std::string_view value);

  int indent_;
  std::size_t depth_ = 0;
  bool empty_ = true;  ///< nothing was written since the last opening bracket
  bool after_key_ = false;
  std::string text_;
};

}  // namespace tare::json

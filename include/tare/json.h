/// \file
/// JSON as the core reads and writes it: values that can tell their place, so that every complaint
/// names it
/// (`config.json: linux.namespaces[2].type: …`). Parsing is rapidjson's.
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

  /// Each getter throws `invalid_config` naming the place, what was expected and what is there.
  bool as_bool() const;
  std::string_view as_string() const;
  std::int64_t as_int64() const;
  std::uint64_t as_uint64() const;
  std::int32_t as_int32() const;
  std::uint32_t as_uint32() const;
  std::uint16_t as_uint16() const;

  /// Calls `visit` for each member in order; refuses a repeated key.
  void for_each_member(const std::function<void(std::string_view, const Value&)>& visit) const;
  void for_each_element(const std::function<void(const Value&)>& visit) const;
  /// The member of that name; none when absent or null.
  std::optional<Value> find(std::string_view key) const;
  /// The member of that name; throws `invalid_config` when absent or null.
  Value at(std::string_view key) const;
  /// The number of members or elements; 0 for anything else.
  std::size_t size() const;

  /// `linux.namespaces[2].type`; empty for the whole document. Searches the document for this
  /// value, so that values which nobody complains about pay nothing for it.
  std::string path() const;
  /// Throws `invalid_config` "NAME: PATH: message".
  [[noreturn]] void fail(std::string_view message) const;
  /// The same about the member `key` that should be there and is not.
  [[noreturn]] void fail_missing(std::string_view key) const;

 private:
  friend class Document;
  Value(const void* node, const Document* document) : node_(node), document_(document) {}
  [[noreturn]] void fail_expecting(std::string_view what) const;

  const void* node_;
  const Document* document_;
};

/// Parsed text. Refuses what RFC 8259 refuses, nesting deeper than 64 and trailing text, naming
/// line and column.
class Document {
 public:
  /// `name` is how errors call the text, e.g. "config.json".
  Document(std::string text, std::string name);
  ~Document();
  Document(const Document&) = delete;
  Document& operator=(const Document&) = delete;
  /// The value at the top.
  const Value& root() const { return root_; }
  const std::string& name() const { return name_; }

 private:
  struct Parsed;
  std::string name_;
  std::unique_ptr<Parsed> parsed_;
  Value root_;
};

/// How errors spell the way from an object to its member: ".type", or `["net.core.somaxconn"]`
/// where the key is no plain word. Without the dot at the start of a path.
std::string path_step(std::string_view key, bool first);

/// Builds JSON text. `indent` 0 writes one line without spaces; else that many spaces, or a tab for
/// -1. Bytes of a string that are not UTF-8 become U+FFFD, so that the text is always valid JSON.
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
  /// `value` / 100, without needless zeros: 1250 is 12.5.
  Writer& number_hundredths(std::uint64_t value);
  Writer& boolean(bool value);
  Writer& null();
  /// A value that is JSON already.
  Writer& json(std::string_view text);
  /// The text so far; the writer is empty afterwards.
  std::string take();

 private:
  /// Comma, line break and indentation that are due before the next key or value.
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

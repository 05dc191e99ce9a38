// Values in GVariant's text format.

#include <charconv>
#include <utility>

#include "systemd/dbus/dbus.h"
#include "systemd/dbus/number.h"
#include "tare/error.h"

namespace tare::dbus {

namespace {

constexpr int max_text_depth = 32;

struct Keyword {
  std::string_view word;
  char type;
};
constexpr Keyword keywords[] = {
    {"boolean", 'b'}, {"byte", 'y'},       {"int16", 'n'},     {"uint16", 'q'}, {"int32", 'i'},
    {"uint32", 'u'},  {"handle", 'h'},     {"int64", 'x'},     {"uint64", 't'}, {"double", 'd'},
    {"string", 's'},  {"objectpath", 'o'}, {"signature", 'g'},
};

bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
bool is_blank(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

void append_utf8(std::string& text, std::uint32_t code) {
  const auto tail = [&](int shift) {
    text.push_back(static_cast<char>(0x80 | ((code >> shift) & 0x3f)));
  };
  if (code < 0x80) {
    text.push_back(static_cast<char>(code));
  } else if (code < 0x800) {
    text.push_back(static_cast<char>(0xc0 | (code >> 6)));
    tail(0);
  } else if (code < 0x10000) {
    text.push_back(static_cast<char>(0xe0 | (code >> 12)));
    tail(6);
    tail(0);
  } else {
    text.push_back(static_cast<char>(0xf0 | (code >> 18)));
    tail(12);
    tail(6);
    tail(0);
  }
}

class Parser {
 public:
  explicit Parser(std::string_view text) : text_(text) {}

  Value parse() {
    Value value = read("", 0);
    skip_blanks();
    if (at_ != text_.size()) {
      fail("unexpected text after the value");
    }
    return value;
  }

 private:
  [[noreturn]] void fail(const std::string& what) const {
    throw Error(ErrorKind::invalid_argument,
                what + ", at character " + std::to_string(at_ + 1) + " of " + std::string(text_));
  }

  void skip_blanks() {
    while (at_ < text_.size() && is_blank(text_[at_])) {
      ++at_;
    }
  }
  char peek() const { return at_ < text_.size() ? text_[at_] : '\0'; }
  bool take(char c) {
    skip_blanks();
    const bool found = peek() == c && at_ < text_.size();
    at_ += found ? 1 : 0;
    return found;
  }
  void expect(char c) {
    if (!take(c)) {
      fail(std::string("\"") + c + "\" is missing");
    }
  }

  /// Reads a value of the type `expected`; if that is empty, of the type that the text implies.
  Value read(std::string_view expected, int depth) {
    if (depth > max_text_depth) {
      fail("nested deeper than " + std::to_string(max_text_depth) + " levels");
    }
    skip_blanks();
    const char c = peek();
    Value value;
    if (c == '@') {
      value = read_annotated(depth);
    } else if (c == '\'' || c == '"') {
      value = read_string(expected);
    } else if (c == 'b' && at_ + 1 < text_.size() &&
               (text_[at_ + 1] == '\'' || text_[at_ + 1] == '"')) {
      ++at_;
      value = dbus::bytes(read_quoted() + '\0');
    } else if (c == '[') {
      value = read_array(expected, depth);
    } else if (c == '(') {
      value = read_tuple(expected, depth);
    } else if (c == '{') {
      value = read_dictionary(expected, depth);
    } else if (c == '<') {
      ++at_;
      value = variant(read("", depth + 1));
      expect('>');
    } else if (is_letter(c)) {
      value = read_word(depth);
    } else {
      value = read_number(expected);
    }
    if (!expected.empty() && value.signature != expected) {
      fail("expected a value of type " + std::string(expected) + ", got one of type " +
           value.signature);
    }
    return value;
  }

  /// @TYPE VALUE
  Value read_annotated(int depth) {
    const std::string_view type = first_type(text_.substr(++at_));
    if (type.empty()) {
      fail("\"@\" must be followed by a type");
    }
    at_ += type.size();
    return read(type, depth + 1);
  }

  /// Reads true, false, or a value prefixed by a type's name.
  Value read_word(int depth) {
    const std::size_t begin = at_;
    while (is_letter(peek()) || is_digit(peek())) {
      ++at_;
    }
    const std::string_view word = text_.substr(begin, at_ - begin);
    if (word == "true" || word == "false") {
      return boolean(word == "true");
    }
    for (const Keyword& keyword : keywords) {
      if (word == keyword.word) {
        return read(std::string_view(&keyword.type, 1), depth + 1);
      }
    }
    at_ = begin;
    fail("invalid value \"" + std::string(word) + "\"; put a text in quotation marks");
  }

  Value read_string(std::string_view expected) {
    Value value = string(read_quoted());
    if (value.text.find('\0') != std::string::npos) {
      fail("a text must not contain a NUL");
    }
    if (expected == "o" || expected == "g") {
      value.signature = expected;
    }
    return value;
  }

  std::string read_quoted() {
    const char quote = text_[at_++];
    std::string result;
    while (peek() != quote || at_ == text_.size()) {
      if (at_ == text_.size()) {
        fail("the closing quotation mark is missing");
      }
      const char c = text_[at_++];
      if (c == '\\') {
        read_escape(result);
      } else {
        result.push_back(c);
      }
    }
    ++at_;
    return result;
  }

  void read_escape(std::string& result) {
    constexpr std::string_view letters = "abfnrtv";
    constexpr std::string_view meanings = "\a\b\f\n\r\t\v";
    if (at_ == text_.size()) {
      fail("the closing quotation mark is missing");
    }
    const char c = text_[at_++];
    if (const std::size_t found = letters.find(c); found != std::string_view::npos) {
      result.push_back(meanings[found]);
    } else if (c == 'u' || c == 'U') {
      append_utf8(result, read_code(c == 'u' ? 4 : 8));
    } else {
      result.push_back(c);
    }
  }

  std::uint32_t read_code(std::size_t digits) {
    const std::string_view hex = text_.substr(at_, digits);
    std::uint32_t code = 0;
    const auto [end, error] = std::from_chars(hex.data(), hex.data() + hex.size(), code, 16);
    const bool surrogate = code >= 0xd800 && code < 0xe000;
    if (error != std::errc() || end != hex.data() + digits || code > 0x10ffff || surrogate) {
      fail("invalid character number");
    }
    at_ += digits;
    return code;
  }

  Value read_array(std::string_view expected, int depth) {
    if (!expected.empty() && expected.front() != 'a') {
      fail("expected a value of type " + std::string(expected) + ", got an array");
    }
    ++at_;
    std::string element(expected.empty() ? expected : expected.substr(1));
    std::vector<Value> items;
    while (!take(']')) {
      if (!items.empty()) {
        expect(',');
      }
      items.push_back(read(element, depth + 1));
      element = items.front().signature;
    }
    if (element.empty()) {
      fail("an empty array needs its type, such as @as []");
    }
    return array(element, std::move(items));
  }

  Value read_tuple(std::string_view expected, int depth) {
    if (!expected.empty() && expected.front() != '(') {
      fail("expected a value of type " + std::string(expected) + ", got a tuple");
    }
    ++at_;
    std::string_view types = expected.empty() ? expected : expected.substr(1, expected.size() - 2);
    std::vector<Value> members;
    while (!take(')')) {
      if (!members.empty()) {
        expect(',');
        if (take(')')) {  // (1,) has one member
          break;
        }
      }
      const std::string_view type = first_type(types);
      types.remove_prefix(type.size());
      members.push_back(read(type, depth + 1));
    }
    if (members.empty()) {
      fail("D-Bus has no empty tuple");
    }
    return structure(std::move(members));
  }

  Value read_dictionary(std::string_view expected, int depth) {
    std::string key;
    std::string element;
    if (!expected.empty()) {
      if (!expected.starts_with("a{")) {
        fail("expected a value of type " + std::string(expected) + ", got a dictionary");
      }
      key = first_type(expected.substr(2));
      element = first_type(expected.substr(2 + key.size()));
    }
    ++at_;
    std::vector<Value> entries;
    while (!take('}')) {
      if (!entries.empty()) {
        expect(',');
      }
      Value entry;
      entry.items.push_back(read(key, depth + 1));
      expect(':');
      entry.items.push_back(read(element, depth + 1));
      key = entry.items[0].signature;
      element = entry.items[1].signature;
      if (key.size() != 1 || key == "v") {
        fail("a key of a dictionary must be a number or a text");
      }
      entry.signature = "{" + key + element + "}";
      entries.push_back(std::move(entry));
    }
    if (key.empty()) {
      fail("an empty dictionary needs its type, such as @a{sv} {}");
    }
    return array("{" + key + element + "}", std::move(entries));
  }

  Value read_number(std::string_view expected) {
    const std::size_t begin = at_;
    while (at_ < text_.size() && (is_letter(peek()) || is_digit(peek()) || peek() == '+' ||
                                  peek() == '-' || peek() == '.')) {
      ++at_;
    }
    std::string_view digits = text_.substr(begin, at_ - begin);
    const bool hex = digits.find("0x") != std::string_view::npos;
    const bool real = !hex && digits.find_first_of(".eE") != std::string_view::npos;
    Value value;
    value.signature = !expected.empty() ? expected : real ? "d" : "i";
    const bool is_valid = value.signature == "d"
                              ? parse_real(digits, value.real)
                              : parse_integer(digits, value.signature, value.number);
    if (!is_valid) {
      at_ = begin;
      fail(digits.empty() ? "a value is missing"
                          : "invalid value " + std::string(digits) + " of type " + value.signature);
    }
    return value;
  }

  std::string_view text_;
  std::size_t at_ = 0;
};

}  // namespace

Value parse_text(std::string_view text) { return Parser(text).parse(); }

}  // namespace tare::dbus

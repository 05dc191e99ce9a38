#include <array>
#include <charconv>

#include "base/utf8.h"
#include "json/json.h"

namespace tare::json {

namespace {

template <typename Integer>
void append_number(std::string& text, Integer value) {
  std::array<char, 24> digits;
  text.append(digits.data(),
              std::to_chars(digits.data(), digits.data() + digits.size(), value).ptr);
}

}  // namespace

Writer::Writer(int indent) : indent_(indent) {}

void Writer::break_line() {
  if (indent_ == 0) {
    return;
  }
  text_ += '\n';
  if (indent_ < 0) {
    text_.append(depth_, '\t');
  } else {
    text_.append(depth_ * static_cast<std::size_t>(indent_), ' ');
  }
}

void Writer::separate() {
  if (after_key_) {
    after_key_ = false;
    return;
  }
  if (!empty_) {
    text_ += ',';
  }
  if (depth_ > 0) {
    break_line();
  }
  empty_ = false;
}

Writer& Writer::open(char bracket) {
  separate();
  text_ += bracket;
  ++depth_;
  empty_ = true;
  return *this;
}

Writer& Writer::close(char bracket) {
  --depth_;
  if (!empty_) {
    break_line();
  }
  text_ += bracket;
  empty_ = false;
  return *this;
}

Writer& Writer::begin_object() { return open('{'); }
Writer& Writer::end_object() { return close('}'); }
Writer& Writer::begin_array() { return open('['); }
Writer& Writer::end_array() { return close(']'); }

Writer& Writer::key(std::string_view name) {
  separate();
  quote(name);
  text_ += indent_ == 0 ? ":" : ": ";
  after_key_ = true;
  return *this;
}

Writer& Writer::string(std::string_view value) {
  separate();
  quote(value);
  return *this;
}

Writer& Writer::number(std::int64_t value) {
  separate();
  append_number(text_, value);
  return *this;
}

Writer& Writer::number_unsigned(std::uint64_t value) {
  separate();
  append_number(text_, value);
  return *this;
}

Writer& Writer::number_hundredths(std::uint64_t value) {
  separate();
  append_number(text_, value / 100);
  if (const std::uint64_t fraction = value % 100; fraction != 0) {
    text_ += '.';
    text_ += static_cast<char>('0' + fraction / 10);
    if (fraction % 10 != 0) {
      text_ += static_cast<char>('0' + fraction % 10);
    }
  }
  return *this;
}

Writer& Writer::boolean(bool value) {
  separate();
  text_ += value ? "true" : "false";
  return *this;
}

Writer& Writer::json(std::string_view text) {
  separate();
  text_ += text;
  return *this;
}

Writer& Writer::members(std::string_view object) {
  object.remove_prefix(object.find('{') + 1);
  object = object.substr(0, object.rfind('}'));
  if (object.find_first_not_of(" \t\r\n") != std::string_view::npos) {
    separate();
    text_ += object;
  }
  return *this;
}

Writer& Writer::null() {
  separate();
  text_ += "null";
  return *this;
}

std::string Writer::take() {
  std::string text = std::move(text_);
  *this = Writer(indent_);
  return text;
}

void Writer::quote(std::string_view value) {
  text_ += '"';
  while (!value.empty()) {
    std::size_t length = plain_prefix(value);
    text_ += value.substr(0, length);
    value.remove_prefix(length);
    if (value.empty()) {
      break;
    }
    const char first = value.front();
    length = utf8_length(value);
    if (first == '"' || first == '\\') {
      text_ += '\\';
      text_ += first;
    } else if (first == '\n') {
      text_ += "\\n";
    } else if (first == '\t') {
      text_ += "\\t";
    } else if (first == '\r') {
      text_ += "\\r";
    } else if (length == 0) {
      text_ += "\xEF\xBF\xBD";
      length = 1;
    } else if (append_control(text_, value) == 0) {
      text_ += value.substr(0, length);
    }
    value.remove_prefix(length);
  }
  text_ += '"';
}

}  // namespace tare::json

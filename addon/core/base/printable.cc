#include "tare/printable.h"

#include "base/utf8.h"

namespace tare {

namespace {

/// Returns the letter that a line break or tab has after a backslash; 0 for other characters.
char letter_of(char c) { return c == '\n' ? 'n' : c == '\t' ? 't' : '\0'; }

/// Moves the first character of `text` to `out`, escaped where necessary. `backslash` is the
/// spelling of a backslash there.
void append_shown(std::string& out, std::string_view& text, std::string_view backslash) {
  static constexpr std::string_view hex = "0123456789abcdef";
  std::size_t length = utf8_length(text);
  if (length == 0) {
    const auto byte = static_cast<unsigned char>(text.front());
    out.append(backslash).append({'x', hex[byte >> 4], hex[byte & 15]});
    length = 1;
  } else if (append_control(out, text) == 0) {
    out += text.substr(0, length);
  }
  text.remove_prefix(length);
}

}  // namespace

std::string printable(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    if (letter_of(text.front()) != 0) {
      out += text.front();
      text.remove_prefix(1);
    } else {
      append_shown(out, text, "\\");
    }
  }
  return out;
}

std::string printable_line(std::string_view text) {
  std::string out;
  for (const char c : printable(text)) {
    if (const char letter = letter_of(c); letter != 0) {
      out += {'\\', letter};
    } else {
      out += c;
    }
  }
  return out;
}

std::string printable_quoted(std::string_view text) {
  std::string out = "\"";
  out.reserve(text.size() + 2);
  while (!text.empty()) {
    const char first = text.front();
    const char letter = first == '"' || first == '\\' ? first : letter_of(first);
    if (letter != 0) {
      out += {'\\', letter};
      text.remove_prefix(1);
    } else {
      append_shown(out, text, "\\\\");
    }
  }
  return out + "\"";
}

}  // namespace tare

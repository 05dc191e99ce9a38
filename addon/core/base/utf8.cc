#include "base/utf8.h"

#include <cstdint>
#include <cstring>

namespace tare {

std::size_t utf8_length(std::string_view text) {
  const auto byte = [text](std::size_t i) {
    return i < text.size() ? static_cast<unsigned char>(text[i]) : 0U;
  };
  const auto continues = [&byte](std::size_t i) { return (byte(i) & 0xC0U) == 0x80U; };
  const unsigned first = byte(0);
  if (first < 0x80) {
    return 1;
  }
  if (first >= 0xC2 && first <= 0xDF) {
    return continues(1) ? 2 : 0;
  }
  if (first >= 0xE0 && first <= 0xEF) {
    // Neither overlong nor a surrogate.
    const bool second = (first != 0xE0 || byte(1) >= 0xA0) && (first != 0xED || byte(1) <= 0x9F);
    return second && continues(1) && continues(2) ? 3 : 0;
  }
  if (first >= 0xF0 && first <= 0xF4) {
    const bool second = (first != 0xF0 || byte(1) >= 0x90) && (first != 0xF4 || byte(1) <= 0x8F);
    return second && continues(1) && continues(2) && continues(3) ? 4 : 0;
  }
  return 0;
}

std::size_t valid_utf8_prefix(std::string_view text) {
  constexpr std::uint64_t high_bits = 0x8080808080808080;
  std::size_t at = 0;
  while (at < text.size()) {
    std::uint64_t eight = 0;
    if (text.size() - at >= sizeof eight) {
      std::memcpy(&eight, text.data() + at, sizeof eight);
      if ((eight & high_bits) == 0) {
        at += sizeof eight;
        continue;
      }
    }
    const std::size_t length = utf8_length(text.substr(at));
    if (length == 0) {
      break;
    }
    at += length;
  }
  return at;
}

namespace {

struct Control {
  std::uint32_t code_point = 0;
  std::size_t length = 0;  ///< 0: no control character
};

Control leading_control(std::string_view text) {
  const auto byte = [text](std::size_t i) -> std::uint32_t {
    return i < text.size() ? static_cast<unsigned char>(text[i]) : 0U;
  };
  const std::uint32_t first = byte(0);
  const std::uint32_t second = byte(1);
  const std::uint32_t third = byte(2);
  if (first < 0x20 || first == 0x7F) {
    return {first, 1};
  }
  if (first == 0xC2 && second >= 0x80 && second <= 0x9F) {
    return {second, 2};
  }
  if (first == 0xD8 && second == 0x9C) {
    return {0x61C, 2};  // Arabic letter mark
  }
  // U+200E, U+200F: marks; U+2028, U+2029: separators; U+202A to U+202E: embeddings and overrides.
  if (first == 0xE2 && second == 0x80 &&
      (third == 0x8E || third == 0x8F || (third >= 0xA8 && third <= 0xAE))) {
    return {0x2000 + (third & 0x3F), 3};
  }
  // U+2066 to U+2069: isolates.
  if (first == 0xE2 && second == 0x81 && third >= 0xA6 && third <= 0xA9) {
    return {0x2040 + (third & 0x3F), 3};
  }
  return {};
}

}  // namespace

std::size_t plain_prefix(std::string_view text) {
  std::size_t at = 0;
  while (at < text.size() && text[at] >= ' ' && text[at] < '\x7f' && text[at] != '"' &&
         text[at] != '\\') {
    ++at;
  }
  return at;
}

std::size_t append_control(std::string& out, std::string_view text) {
  static constexpr std::string_view hex = "0123456789abcdef";
  const Control control = leading_control(text);
  if (control.length != 0) {
    const std::uint32_t code = control.code_point;
    out.append("\\u").append(
        {hex[code >> 12], hex[code >> 8 & 15], hex[code >> 4 & 15], hex[code & 15]});
  }
  return control.length;
}

}  // namespace tare

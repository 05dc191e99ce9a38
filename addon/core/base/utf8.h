/// \file
/// UTF-8 (RFC 3629), for reading and writing JSON.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace tare {

/// Returns the length of the UTF-8 character at the start of `text`; 0 if there is none.
std::size_t utf8_length(std::string_view text);
/// Returns the length of the longest prefix of `text` that is valid UTF-8.
std::size_t valid_utf8_prefix(std::string_view text);
/// Returns the length of the prefix of `text` that is printable ASCII without quotation marks and
/// backslashes, and so needs no escapes.
std::size_t plain_prefix(std::string_view text);
/// Appends the control character at the start of `text` as "\u009b"; returns the number of its
/// bytes, 0 if there is none. In addition to C0, DEL and C1 these are the line and paragraph
/// separators and the bidirectional formatting characters: terminals interpret them, and JSON
/// allows them unescaped.
std::size_t append_control(std::string& out, std::string_view text);

}  // namespace tare

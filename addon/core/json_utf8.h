/// \file
/// UTF-8 (RFC 3629), for reading and writing JSON.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace tare {

/// The length of the UTF-8 character that `text` begins with; 0 where it begins with none.
std::size_t utf8_length(std::string_view text);
/// How many bytes at the front of `text` are UTF-8; all of them where that is its size.
std::size_t valid_utf8_prefix(std::string_view text);
/// How many bytes at the front of `text` are printable ASCII, without quotation marks and
/// backslashes: what needs no escape anywhere.
std::size_t plain_prefix(std::string_view text);
/// Appends the control character that `text` begins with as "\u009b"; the number of its bytes, 0
/// where it is none. Beside C0, DEL and C1 these are the line and paragraph separators and the
/// controls of the direction of writing: a terminal obeys them, and JSON may have them as they are.
std::size_t append_control(std::string& out, std::string_view text);

}  // namespace tare

/// \file
/// UTF-8 (RFC 3629), for reading and writing JSON.
#pragma once

#include <cstddef>
#include <string_view>

namespace tare {

/// The length of the UTF-8 character that `text` begins with; 0 where it begins with none.
std::size_t utf8_length(std::string_view text);
/// How many bytes at the front of `text` are UTF-8; all of them where that is its size.
std::size_t valid_utf8_prefix(std::string_view text);

}  // namespace tare

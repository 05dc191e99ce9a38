/// \file
/// Text for terminals and logs. Names and paths of an image may hold escape sequences, which a
/// terminal obeys, or line breaks, with which they forge further lines.
#pragma once

#include <string>
#include <string_view>

namespace tare {

/// `text` with each control character as "\u009b" and each byte that is not UTF-8 as "\xff".
/// Control characters are those of C0, DEL and C1, line and paragraph separators, and what changes
/// the direction of writing. Line breaks and tabs stay.
std::string printable(std::string_view text);

/// The same in one line: line breaks and tabs are escaped, too.
std::string printable_line(std::string_view text);

/// That between quotes, and with what JSON wants escaped: a string for JSON and for logfmt.
std::string printable_quoted(std::string_view text);

}  // namespace tare

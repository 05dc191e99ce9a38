/// \file
/// Text for terminals and logs. Names and paths of an image may contain terminal escape sequences,
/// or line breaks that forge further lines.
#pragma once

#include <string>
#include <string_view>

namespace tare {

/// Returns `text` with each control character as "\u009b" and each byte that is not UTF-8 as
/// "\xff". Control characters are those of C0, DEL and C1, line and paragraph separators, and
/// bidirectional formatting characters. Keeps line breaks and tabs.
std::string printable(std::string_view text);

/// Does the same in one line: escapes line breaks and tabs, too.
std::string printable_line(std::string_view text);

/// Does the same between quotes, with JSON's escapes: a string for JSON and for logfmt.
std::string printable_quoted(std::string_view text);

}  // namespace tare

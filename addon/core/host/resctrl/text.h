// Parses the texts of resctrl's files; does not access the host.
#pragma once

#include <string>
#include <string_view>

namespace tare {

/// Returns `text` without white space at both ends.
std::string_view trimmed(std::string_view text);
/// Returns the lines of a schemata file, trimmed and joined with ", ".
std::string joined_lines(std::string_view text);
/// Whether the schemata file `text` agrees with `line`: it has the same resource, and the same
/// value for each domain that `line` names. Cache masks are hexadecimal, bandwidths decimal.
bool has_schema(std::string_view text, std::string_view line);

/// Removes the text before the first `end`, and `end` itself, from the front of `text`; returns
/// that text.
std::string_view take_until(std::string_view& text, char end);

}  // namespace tare

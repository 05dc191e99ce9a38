// The texts of resctrl's files, read: nothing here touches the host.
#pragma once

#include <string>
#include <string_view>

namespace tare {

/// Without white space at both ends.
std::string_view trimmed(std::string_view text);
/// The lines of a schemata file, trimmed, with ", " between them.
std::string joined_lines(std::string_view text);
/// Whether the schemata file `text` says what `line` does: the same resource, and for each domain
/// that `line` names the same value. Masks of caches are hexadecimal, bandwidths decimal.
bool has_schema(std::string_view text, std::string_view line);

/// Takes what stands before the first `end` off the front of `text`, and `end` too.
std::string_view take_until(std::string_view& text, char end);

}  // namespace tare

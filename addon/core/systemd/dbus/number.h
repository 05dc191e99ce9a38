// Numbers in GVariant's text format.
#pragma once

#include <cstdint>
#include <string_view>

namespace tare::dbus {

bool is_digit(char c);

/// Parses "-12.5e3"; returns false for malformed text. The C++ library's parser would add 100 KB to
/// the command line, a cost at every start.
bool parse_real(std::string_view text, double& real);

/// Parses "-7", "0x1f" or "017" as a value of `type`, a signature; negative numbers become two's
/// complement. Returns false for malformed text, a number out of range, and a type that is not an
/// integer's.
bool parse_integer(std::string_view digits, std::string_view type, std::uint64_t& number);

}  // namespace tare::dbus

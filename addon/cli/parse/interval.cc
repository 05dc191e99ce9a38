// Lengths of time.
#include <algorithm>
#include <charconv>
#include <string_view>

#include "parse/parse.h"

namespace tare::cli {

namespace {

[[noreturn]] void refuse_interval(const std::string& text) {
  throw UsageError{"invalid value \"" + text +
                   "\" for flag --interval: expected a duration such as 500ms, 5s or 1m30s"};
}

/// Returns the nanoseconds of a unit; 0 if there is no such unit.
double unit_length(std::string_view unit) {
  if (unit == "ns") return 1;
  if (unit == "us" || unit == "\u00b5s" || unit == "\u03bcs") return 1e3;
  if (unit == "ms") return 1e6;
  if (unit == "s") return 1e9;
  if (unit == "m") return 60e9;
  return unit == "h" ? 3600e9 : 0;
}

}  // namespace

std::chrono::nanoseconds parse_interval(const std::string& text) {
  std::string_view rest = text;
  double length = 0;
  if (rest.empty()) refuse_interval(text);
  while (!rest.empty()) {
    const auto end_of_number = std::min(rest.find_first_not_of("0123456789."), rest.size());
    const auto end_of_unit =
        std::min(rest.find_first_of("0123456789.", end_of_number), rest.size());
    std::string_view number = rest.substr(0, end_of_number);
    const double unit = unit_length(rest.substr(end_of_number, end_of_unit - end_of_number));
    const auto dot = std::min(number.find('.'), number.size());
    std::uint64_t whole = 0;
    const auto [end, error] = std::from_chars(number.data(), number.data() + dot, whole);
    if (error != std::errc() || end != number.data() + dot || unit == 0) {
      refuse_interval(text);
    }
    double value = static_cast<double>(whole);
    double digit_value = 0.1;
    for (const char digit : number.substr(std::min(dot + 1, number.size()))) {
      if (digit == '.') refuse_interval(text);
      value += (digit - '0') * digit_value;
      digit_value /= 10;
    }
    length += value * unit;
    rest.remove_prefix(end_of_unit);
  }
  // The limit of 64 bits of nanoseconds: some hundred years.
  if (length > 9e18) refuse_interval(text);
  return std::chrono::nanoseconds(static_cast<std::int64_t>(length));
}

}  // namespace tare::cli

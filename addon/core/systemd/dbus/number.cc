#include "systemd/dbus/number.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <iterator>

namespace tare::dbus {

namespace {

/// An integer type: its maximum, and the absolute value of its minimum.
struct Range {
  char type;
  std::uint64_t max;
  std::uint64_t min;
};
constexpr Range ranges[] = {
    {'y', UINT8_MAX, 0},
    {'n', INT16_MAX, 0x8000},
    {'q', UINT16_MAX, 0},
    {'i', INT32_MAX, 0x80000000},
    {'h', INT32_MAX, 0x80000000},
    {'u', UINT32_MAX, 0},
    {'x', INT64_MAX, 0x8000000000000000},
    {'t', UINT64_MAX, 0},
};

}  // namespace

bool is_digit(char c) { return c >= '0' && c <= '9'; }

bool parse_real(std::string_view text, double& real) {
  const bool negative = text.starts_with('-');
  text.remove_prefix(negative || text.starts_with('+') ? 1 : 0);
  std::int64_t exponent = 0;
  const std::size_t e = std::min(text.find_first_of("eE"), text.size());
  if (e < text.size()) {
    std::string_view power = text.substr(e + 1);
    power.remove_prefix(power.starts_with('+') ? 1 : 0);
    const char* const power_end = power.data() + power.size();
    const auto [end, error] = std::from_chars(power.data(), power_end, exponent);
    if (error != std::errc() || end != power_end || std::abs(exponent) > 400) {
      return false;
    }
  }
  bool fraction = false;
  bool any = false;
  double mantissa = 0;
  for (const char c : text.substr(0, e)) {
    if (c == '.' && !fraction) {
      fraction = true;
    } else if (is_digit(c)) {
      mantissa = mantissa * 10 + (c - '0');
      exponent -= fraction ? 1 : 0;
      any = true;
    } else {
      return false;
    }
  }
  real = exponent < 0 ? mantissa / std::pow(10.0, static_cast<double>(-exponent))
                      : mantissa * std::pow(10.0, static_cast<double>(exponent));
  real = negative ? -real : real;
  return any && std::isfinite(real);
}

bool parse_integer(std::string_view digits, std::string_view type, std::uint64_t& number) {
  const auto* range = std::ranges::find(
      ranges, type, [](const Range& each) { return std::string_view(&each.type, 1); });
  if (range == std::end(ranges)) {
    return false;
  }
  const bool negative = digits.starts_with('-');
  digits.remove_prefix(negative || digits.starts_with('+') ? 1 : 0);
  int base = 10;
  if (digits.starts_with("0x")) {
    base = 16;
    digits.remove_prefix(2);
  } else if (digits.size() > 1 && digits.front() == '0') {
    base = 8;
  }
  std::uint64_t absolute = 0;
  const auto [end, error] =
      std::from_chars(digits.data(), digits.data() + digits.size(), absolute, base);
  if (error != std::errc() || end != digits.data() + digits.size() ||
      absolute > (negative ? range->min : range->max)) {
    return false;
  }
  number = negative ? 0 - absolute : absolute;
  return true;
}

}  // namespace tare::dbus

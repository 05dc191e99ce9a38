#include "host/resctrl/text.h"

#include <charconv>
#include <cstdint>
#include <optional>

namespace tare {
namespace {

/// Returns the value of `text`; hexadecimal digits may follow "0x", as for the kernel. None where
/// it is not a number.
std::optional<std::uint64_t> number(std::string_view text, int base) {
  text = trimmed(text);
  if (base == 16 && (text.starts_with("0x") || text.starts_with("0X"))) {
    text.remove_prefix(2);
  }
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, base);
  if (error != std::errc() || end != text.data() + text.size()) {
    return std::nullopt;
  }
  return value;
}

/// Returns the text of the value that `domains` ("0=7f0;1=1f") has for the domain `id`.
std::string_view value_of(std::string_view domains, std::uint64_t id) {
  while (!domains.empty()) {
    std::string_view entry = take_until(domains, ';');
    if (number(take_until(entry, '='), 10) == id) {
      return entry;
    }
  }
  return {};
}

bool same_values(std::string_view wanted, std::string_view present, int base) {
  while (!wanted.empty()) {
    std::string_view entry = take_until(wanted, ';');
    const auto id = number(take_until(entry, '='), 10);
    const auto value = number(entry, base);
    if (!id || !value || number(value_of(present, *id), base) != value) {
      return false;
    }
  }
  return true;
}

}  // namespace

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view space = " \t\r\n";
  const std::size_t begin = text.find_first_not_of(space);
  if (begin == std::string_view::npos) {
    return {};
  }
  return text.substr(begin, text.find_last_not_of(space) + 1 - begin);
}

std::string_view take_until(std::string_view& text, char end) {
  const std::size_t at = text.find(end);
  const std::string_view taken = text.substr(0, at);
  text.remove_prefix(at == std::string_view::npos ? text.size() : at + 1);
  return taken;
}

std::string joined_lines(std::string_view text) {
  std::string joined;
  while (!text.empty()) {
    const std::string_view line = trimmed(take_until(text, '\n'));
    if (!line.empty()) {
      joined.append(joined.empty() ? "" : ", ").append(line);
    }
  }
  return joined;
}

bool has_schema(std::string_view text, std::string_view line) {
  const std::string_view resource = trimmed(take_until(line, ':'));
  // L3, L3CODE, L3DATA, L2, … are caches; MB and SMBA are bandwidths.
  const int base = resource.starts_with('L') ? 16 : 10;
  while (!text.empty()) {
    std::string_view present = take_until(text, '\n');
    if (trimmed(take_until(present, ':')) == resource) {
      return same_values(line, present, base);
    }
  }
  return false;
}

}  // namespace tare

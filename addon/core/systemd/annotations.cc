// Annotations that set properties of the container's unit.

#include <cmath>
#include <limits>
#include <optional>
#include <string>
#include <string_view>

#include "systemd/systemd.h"
#include "tare/error.h"

namespace tare {

namespace {

constexpr std::string_view property_prefix = "org.systemd.property.";
constexpr std::size_t shortest_name = 3;

[[noreturn]] void refuse(const std::string& key, const std::string& message) {
  const std::string path = "annotations[\"" + key + "\"]";
  Error error(ErrorKind::invalid_config, "config.json: " + path + ": " + message);
  throw error.with_path(path);
}

bool is_lower(char c) { return c >= 'a' && c <= 'z'; }
bool is_letter(char c) { return is_lower(c) || (c >= 'A' && c <= 'Z'); }

void check_name(const std::string& key, std::string_view name) {
  if (name.size() < shortest_name) {
    refuse(key, "name incorrect: too short for a property of a unit");
  }
  for (const char c : name) {
    if (!is_letter(c)) {
      refuse(key,
             "name incorrect: contains non-alphabetic character; properties of units have "
             "letters only");
    }
  }
}

/// Whether a name is like TimeoutStopSec, but neither Sec nor FOOSec.
bool is_in_seconds(std::string_view name) {
  constexpr std::string_view suffix = "Sec";
  return name.ends_with(suffix) && name.size() > suffix.size() &&
         is_lower(name[name.size() - suffix.size() - 1]);
}

/// Returns the value in microseconds; none if it is not a number of seconds.
std::optional<std::uint64_t> microseconds(const dbus::Value& value) {
  constexpr std::uint64_t second = 1000000;
  constexpr std::uint64_t max_time = std::numeric_limits<std::uint64_t>::max() / second;
  if (value.signature == "d") {
    const double result = std::round(value.real * static_cast<double>(second));
    if (!(result >= 0) || result >= static_cast<double>(max_time) * static_cast<double>(second)) {
      return std::nullopt;
    }
    return static_cast<std::uint64_t>(result);
  }
  // A negative number also exceeds `max_time`.
  const bool integer = value.signature.size() == 1 &&
                       std::string_view("ynqiuxt").find(value.signature) != std::string_view::npos;
  return integer && value.number <= max_time ? std::optional(value.number * second) : std::nullopt;
}

}  // namespace

std::vector<UnitProperty> annotated_properties(const Spec& spec) {
  std::vector<UnitProperty> properties;
  for (const auto& [key, text] : spec.annotations) {
    if (!key.starts_with(property_prefix)) {
      continue;
    }
    UnitProperty property{key.substr(property_prefix.size()), {}};
    check_name(key, property.name);
    try {
      property.value = dbus::parse_text(text);
    } catch (const Error& error) {
      refuse(key,
             std::string("value parse error: ").append(error.inner_words()) +
                 "; it is written in GVariant's text format, such as 'text', true or uint64 5");
    }
    if (is_in_seconds(property.name)) {
      const std::optional<std::uint64_t> time = microseconds(property.value);
      if (!time.has_value()) {
        refuse(key, "value parse error: invalid number of seconds " + text);
      }
      property.name.insert(property.name.size() - 3, "U");
      property.value = dbus::uint64(*time);
    }
    properties.push_back(std::move(property));
  }
  return properties;
}

}  // namespace tare

// Translates settings of a cgroup's files to properties of its unit.

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "cgroup/cgroup.h"
#include "cgroup/lists.h"
#include "systemd/systemd.h"
#include "tare/error.h"

namespace tare {

namespace {

constexpr std::uint64_t infinity = std::numeric_limits<std::uint64_t>::max();
constexpr std::uint64_t second = 1000000;  // µs
constexpr std::uint64_t default_period = 100000;
/// A hundredth of a processor, in µs per second.
constexpr std::uint64_t percent = second / 100;

// The first systemd versions that have a property, or a value of it.
constexpr unsigned version_quota_period = 242;
constexpr unsigned version_cpuset = 244;
constexpr unsigned version_idle = 252;
constexpr unsigned version_oom_policy = 253;

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view blanks = " \t\n";
  const std::size_t begin = std::min(text.find_first_not_of(blanks), text.size());
  const std::size_t end = text.find_last_not_of(blanks) + 1;
  return text.substr(begin, std::max(begin, end) - begin);
}

/// Parses decimal digits; none for other text.
std::optional<std::uint64_t> number(std::string_view text) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  const bool whole = error == std::errc() && end == text.data() + text.size();
  return whole ? std::optional(value) : std::nullopt;
}

/// Parses "max" or a number, for memory with one of the kernel's suffixes.
std::optional<std::uint64_t> limit(std::string_view text) {
  text = trimmed(text);
  if (text == "max") {
    return infinity;
  }
  constexpr std::string_view suffixes = "KMGTPE";
  const std::size_t suffix =
      text.empty() ? std::string_view::npos : suffixes.find(static_cast<char>(text.back() & ~0x20));
  const bool has_suffix = suffix != std::string_view::npos;
  const auto value = number(text.substr(0, text.size() - (has_suffix ? 1 : 0)));
  const int shift = has_suffix ? 10 * (static_cast<int>(suffix) + 1) : 0;
  return value.has_value() && *value <= infinity >> shift ? std::optional(*value << shift)
                                                          : std::nullopt;
}

/// cpu.max: "QUOTA [PERIOD]"; infinity for "max".
struct Quota {
  std::uint64_t quota = infinity;
  std::optional<std::uint64_t> period;

  /// Returns the quota per second in µs, rounded up to hundredths of a processor.
  std::uint64_t per_second() const {
    const std::uint64_t exact = quota * second / period.value_or(default_period);
    return (exact + percent - 1) / percent * percent;
  }
};

std::optional<Quota> parse_quota(std::string_view text) {
  text = trimmed(text);
  const std::size_t blank = std::min(text.find(' '), text.size());
  const std::string_view rest = trimmed(text.substr(blank));
  Quota result;
  if (!rest.empty()) {
    result.period = number(rest);
    if (result.period.value_or(0) == 0) {
      return std::nullopt;
    }
  }
  if (text.substr(0, blank) != "max") {
    const auto quota = number(text.substr(0, blank));
    if (!quota.has_value() || *quota > infinity / second) {
      return std::nullopt;
    }
    result.quota = *quota;
  }
  return result;
}

/// Parses "1,3-5" into bits, the lowest in the first byte.
std::optional<std::string> parse_set(std::string_view text) {
  constexpr std::uint64_t max_processors = 8192;
  std::string bits;
  bool good = true;
  for_each_part(text, ',', [&](std::string_view part) {
    part = trimmed(part);
    if (part.empty()) {
      return true;
    }
    const std::size_t dash = std::min(part.find('-'), part.size());
    const auto first = number(trimmed(part.substr(0, dash)));
    const auto last = dash == part.size() ? first : number(trimmed(part.substr(dash + 1)));
    good = first.has_value() && last.has_value() && *first <= *last && *last < max_processors;
    for (std::uint64_t bit = good ? *first : max_processors; bit < max_processors && bit <= *last;
         ++bit) {
      bits.resize(std::max(bits.size(), static_cast<std::size_t>(bit / 8 + 1)), '\0');
      bits[bit / 8] = static_cast<char>(bits[bit / 8] | 1 << bit % 8);
    }
    return good;
  });
  return good && !bits.empty() ? std::optional(bits) : std::nullopt;
}

struct NamedLimit {
  std::string_view file;
  const char* property;
};
constexpr NamedLimit limits[] = {
    {"memory.high", "MemoryHigh"}, {"memory.low", "MemoryLow"},
    {"memory.max", "MemoryMax"},   {"memory.min", "MemoryMin"},
    {"pids.max", "TasksMax"},      {"memory.swap.max", "MemorySwapMax"},
};

bool is_idle(const CgroupSetting& setting) {
  return setting.file == "cpu.idle" && trimmed(setting.value) == "1";
}

class Properties {
 public:
  Properties(unsigned version, std::string_view prefix) : version_(version), prefix_(prefix) {}

  void add(const CgroupSetting& setting) {
    const std::string_view file = setting.file;
    for (const NamedLimit& named : limits) {
      if (file == named.file) {
        add_limit(setting, named.property);
        return;
      }
    }
    if (file == "cpu.max") {
      add_quota(setting);
    } else if (file == "cpu.weight") {
      add_number(setting, setting.value, "CPUWeight");
    } else if (is_idle(setting) && version_ >= version_idle) {
      // systemd's value for an idle cgroup.
      found_.push_back({"CPUWeight", dbus::uint64(0)});
    } else if (file == "cpuset.cpus") {
      add_set(setting, "AllowedCPUs");
    } else if (file == "cpuset.mems") {
      add_set(setting, "AllowedMemoryNodes");
    } else if (file == "io.weight") {
      add_io_weight(setting, setting.value);
    } else if (setting.fallback_file == "io.weight") {
      add_io_weight(setting, setting.fallback_value);
    }
  }

  std::vector<UnitProperty> take() { return std::move(found_); }

 private:
  [[noreturn]] void refuse(const CgroupSetting& setting) const {
    Error error(ErrorKind::invalid_config,
                std::string(prefix_).append(setting.field) + ": \"" + setting.value +
                    "\" has no equivalent among systemd's properties for " + setting.file +
                    "; write it as a plain value");
    throw error.with_path(json_path(prefix_, setting.field));
  }

  void add_limit(const CgroupSetting& setting, const char* property) {
    std::optional<std::uint64_t> value = limit(setting.value);
    if (!value.has_value()) {
      refuse(setting);
    }
    // systemd rejects a TasksMax of 0.
    if (setting.file == "pids.max" && *value == 0) {
      value = 1;
    }
    found_.push_back({property, dbus::uint64(*value)});
  }

  void add_number(const CgroupSetting& setting, std::string_view text, const char* property) {
    const std::optional<std::uint64_t> value = number(trimmed(text));
    if (!value.has_value()) {
      refuse(setting);
    }
    found_.push_back({property, dbus::uint64(*value)});
  }

  void add_quota(const CgroupSetting& setting) {
    const std::optional<Quota> quota = parse_quota(setting.value);
    if (!quota.has_value()) {
      refuse(setting);
    }
    if (quota->period.has_value() && version_ >= version_quota_period) {
      found_.push_back({"CPUQuotaPeriodUSec", dbus::uint64(*quota->period)});
    }
    found_.push_back({"CPUQuotaPerSecUSec",
                      dbus::uint64(quota->quota == infinity ? infinity : quota->per_second())});
  }

  void add_set(const CgroupSetting& setting, const char* property) {
    if (version_ < version_cpuset) {
      return;
    }
    // An empty set means the parent's.
    const std::optional<std::string> bits =
        setting.value.empty() ? std::string() : parse_set(setting.value);
    if (!bits.has_value()) {
      refuse(setting);
    }
    found_.push_back({property, dbus::bytes(*bits)});
  }

  /// Adds "100" or "default 100"; systemd does not change the weights of single devices.
  void add_io_weight(const CgroupSetting& setting, std::string_view text) {
    constexpr std::string_view word = "default ";
    text = trimmed(text);
    text.remove_prefix(text.starts_with(word) ? word.size() : 0);
    if (text.find(':') == std::string_view::npos) {
      add_number(setting, text, "IOWeight");
    }
  }

  unsigned version_;
  std::string_view prefix_;
  std::vector<UnitProperty> found_;
};

}  // namespace

std::vector<UnitProperty> resource_properties(const std::vector<CgroupSetting>& settings,
                                              unsigned version, std::string_view prefix) {
  Properties properties(version, prefix);
  for (const CgroupSetting& setting : settings) {
    properties.add(setting);
  }
  return properties.take();
}

std::vector<UnitProperty> creation_properties(const std::vector<CgroupSetting>& settings,
                                              unsigned version) {
  std::vector<UnitProperty> properties;
  for (const CgroupSetting& setting : settings) {
    const std::string_view value = trimmed(setting.value);
    if (setting.file == "memory.oom.group" && version >= version_oom_policy &&
        (value == "0" || value == "1")) {
      properties.push_back({"OOMPolicy", dbus::string(value == "1" ? "kill" : "continue")});
    }
  }
  return properties;
}

std::vector<std::string> adapt_to_systemd(std::vector<CgroupSetting>& settings, unsigned version) {
  std::vector<std::string> warnings;
  if (version >= version_idle && std::any_of(settings.begin(), settings.end(), is_idle) &&
      std::erase_if(settings, [](const auto& each) { return each.file == "cpu.weight"; }) != 0) {
    warnings.emplace_back(
        "unable to apply both cpu.weight and cpu.idle to systemd, ignoring cpu.weight");
  }
  for (CgroupSetting& setting : settings) {
    const auto quota = setting.file == "cpu.max" ? parse_quota(setting.value) : std::nullopt;
    if (!quota.has_value() || quota->quota == infinity) {
      continue;
    }
    const std::uint64_t period = quota->period.value_or(default_period);
    setting.value = std::to_string(quota->per_second() * period / second) +
                    (quota->period.has_value() ? " " + std::to_string(period) : "");
  }
  return warnings;
}

}  // namespace tare

// Resolves device rules to their meaning.

#include "cgroup/device_filter/rules.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <iterator>
#include <string>
#include <string_view>

#include "tare/error.h"

namespace tare {

namespace {

using Access = DeviceAccess;
using Meaning = DeviceMeaning;
constexpr Access access_mknod = BPF_DEVCG_ACC_MKNOD;

constexpr std::int64_t any = -1;
/// A number that no rule names.
constexpr std::int64_t other = -2;

struct Rule {
  bool character;
  bool block;
  bool allow;
  std::int64_t major;
  std::int64_t minor;
  Access access;
};

constexpr Rule allowed(std::int64_t major, std::int64_t minor) {
  return {.character = true,
          .block = false,
          .allow = true,
          .major = major,
          .minor = minor,
          .access = device_access_all};
}

constexpr std::array default_rules{
    Rule{.character = true,
         .block = true,
         .allow = true,
         .major = any,
         .minor = any,
         .access = access_mknod},
    allowed(1, 3),      // null
    allowed(1, 5),      // zero
    allowed(1, 7),      // full
    allowed(1, 8),      // random
    allowed(1, 9),      // urandom
    allowed(5, 0),      // tty
    allowed(5, 2),      // ptmx
    allowed(136, any),  // pts/*
    allowed(10, 200),   // net/tun
};

[[noreturn]] void fail_rule(std::size_t index, std::string_view member,
                            const std::string& message) {
  const std::string path =
      "linux.resources.devices[" + std::to_string(index) + "]." + std::string(member);
  Error error(ErrorKind::invalid_config, "config.json: " + path + ": " + message);
  error.with_path(path);
  throw error;
}

/// Some configs have a further "a" in the list, which other runtimes ignore. It takes effect only
/// in a rule that denies access.
Access parse_access(const std::string& letters, bool allow, std::size_t index) {
  Access access = 0;
  for (const char letter : letters) {
    switch (letter) {
      case 'r':
        access |= BPF_DEVCG_ACC_READ;
        break;
      case 'w':
        access |= BPF_DEVCG_ACC_WRITE;
        break;
      case 'm':
        access |= BPF_DEVCG_ACC_MKNOD;
        break;
      case 'a':
        access |= allow ? 0 : device_access_all;
        break;
      default:
        fail_rule(index, "access", "\"" + letters + "\" is not made of r, w and m");
    }
  }
  return letters.empty() ? device_access_all : access;
}

std::vector<Rule> resolve(const std::vector<DeviceRule>& given) {
  std::vector<Rule> rules;
  rules.reserve(given.size() + default_rules.size());
  for (std::size_t index = 0; index < given.size(); ++index) {
    const DeviceRule& rule = given[index];
    const std::int64_t major = rule.major.value_or(any);
    const std::int64_t minor = rule.minor.value_or(any);
    if (major < any) {
      fail_rule(index, "major", std::to_string(major) + " is negative; leave it out to match any");
    }
    if (minor < any) {
      fail_rule(index, "minor", std::to_string(minor) + " is negative; leave it out to match any");
    }
    const Access access = parse_access(rule.access, rule.allow, index);
    if (major < device_major_end && minor < device_minor_end) {
      rules.push_back({.character = rule.type != 'b',
                       .block = rule.type != 'c',
                       .allow = rule.allow,
                       .major = major,
                       .minor = minor,
                       .access = access});
    }
  }
  rules.insert(rules.end(), default_rules.begin(), default_rules.end());
  return rules;
}

Access evaluate(const std::vector<Rule>& rules, std::int64_t major, std::int64_t minor) {
  Access access = 0;
  for (const Rule& rule : rules) {
    if ((rule.major == any || rule.major == major) && (rule.minor == any || rule.minor == minor)) {
      access = rule.allow ? access | rule.access : access & ~rule.access;
    }
  }
  return access;
}

void sort_unique(std::vector<std::int64_t>& numbers) {
  std::sort(numbers.begin(), numbers.end());
  numbers.erase(std::unique(numbers.begin(), numbers.end()), numbers.end());
}

/// Resolves `rules`, which are of one type. A number gets no entry if its access is the same
/// without.
Meaning make_meaning(const std::vector<Rule>& rules) {
  Meaning meaning;
  meaning.rest = evaluate(rules, other, other);
  std::vector<std::int64_t> majors;
  std::vector<std::int64_t> minors_of_any;
  std::vector<std::int64_t> devices;
  for (const Rule& rule : rules) {
    if (rule.major != any) {
      majors.push_back(rule.major);
    } else if (rule.minor != any) {
      minors_of_any.push_back(rule.minor);
    }
  }
  sort_unique(majors);
  sort_unique(minors_of_any);
  const auto add = [](std::vector<Meaning::Number>& list, std::int64_t number, Access access,
                      Access otherwise) {
    if (access != otherwise) {
      list.push_back({static_cast<std::uint32_t>(number), access});
    }
  };
  for (const std::int64_t major : majors) {
    add(meaning.majors, major, evaluate(rules, major, other), meaning.rest);
    for (const std::int64_t minor : minors_of_any) {
      devices.push_back(major * device_minor_end + minor);
    }
  }
  for (const std::int64_t minor : minors_of_any) {
    add(meaning.minors, minor, evaluate(rules, other, minor), meaning.rest);
  }
  for (const Rule& rule : rules) {
    if (rule.major != any && rule.minor != any) {
      devices.push_back(rule.major * device_minor_end + rule.minor);
    }
  }
  sort_unique(devices);
  for (const std::int64_t device : devices) {
    const std::int64_t major = device / device_minor_end;
    const std::int64_t minor = device % device_minor_end;
    const Meaning::Number* fallback = Meaning::find(meaning.majors, major);
    if (fallback == nullptr) {
      fallback = Meaning::find(meaning.minors, minor);
    }
    add(meaning.devices, device, evaluate(rules, major, minor),
        fallback == nullptr ? meaning.rest : fallback->access);
  }
  return meaning;
}

}  // namespace

const DeviceMeaning::Number* DeviceMeaning::find(const std::vector<Number>& numbers,
                                                 std::int64_t number) {
  const auto found = std::find_if(numbers.begin(), numbers.end(),
                                  [&](const auto& each) { return each.number == number; });
  return found == numbers.end() ? nullptr : &*found;
}

DeviceMeanings device_meanings(const std::vector<DeviceRule>& rules) {
  const std::vector<Rule> resolved = resolve(rules);
  const auto meaning_of = [&](bool Rule::* type) {
    std::vector<Rule> of_type;
    of_type.reserve(resolved.size());
    std::copy_if(resolved.begin(), resolved.end(), std::back_inserter(of_type),
                 [&](const Rule& rule) { return rule.*type; });
    return make_meaning(of_type);
  };
  return {meaning_of(&Rule::character), meaning_of(&Rule::block)};
}

}  // namespace tare

/// \file
/// Table-driven parsing of JSON objects into structs: one row per field, with the function that
/// reads it. Members that are not in the table are ignored, as required by the spec's
/// "Extensibility". A member that is null counts as absent.
///
/// `read(target, value)` is overloaded for each field type. A struct has its own overload, a
/// (static) function of its namespace, which calls `read_fields` with the struct's table.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "json/json.h"

namespace tare::json {

template <typename Object>
struct Field {
  std::string_view name;
  void (*read)(Object& object, const Value& value);
  bool required = false;
};

inline constexpr bool required = true;

/// Returns the string of `value`; throws if it contains a NUL, because system calls would see a
/// different string.
std::string_view c_string(const Value& value);
/// The same for a member's key.
void check_key(std::string_view key, const Value& value);
/// The maximum number of list entries or object members that each cause an action (a mount, a rule,
/// a sysctl). Two orders of magnitude more than any engine writes, and few enough that quadratic
/// algorithms take negligible time. Lists of plain strings and numbers have the limits of their
/// users.
inline constexpr std::size_t max_entries = 16384;
/// Throws for a list or an object with more entries.
void check_count(const Value& value);
/// Throws: `unknown WHAT "text"; use one of A, B, C`.
[[noreturn]] void fail_unknown(const Value& value, std::string_view what,
                               const std::vector<std::string_view>& known);

inline void read(bool& target, const Value& value) { target = value.as_bool(); }
inline void read(std::int32_t& target, const Value& value) { target = value.as_int32(); }
inline void read(std::int64_t& target, const Value& value) { target = value.as_int64(); }
inline void read(std::uint16_t& target, const Value& value) { target = value.as_uint16(); }
inline void read(std::uint32_t& target, const Value& value) { target = value.as_uint32(); }
inline void read(std::uint64_t& target, const Value& value) { target = value.as_uint64(); }
inline void read(std::string& target, const Value& value) { target = c_string(value); }

void read(std::vector<std::pair<std::string, std::string>>& target, const Value& value);
void read(std::map<std::string, std::string>& target, const Value& value);

template <typename T>
void read(std::optional<T>& target, const Value& value) {
  read(target.emplace(), value);
}

template <typename T>
void read(std::vector<T>& target, const Value& value) {
  if constexpr (std::is_class_v<T> && !std::is_same_v<T, std::string>) {
    check_count(value);
  }
  target.reserve(value.size());
  value.for_each_element([&target](const Value& element) { read(target.emplace_back(), element); });
}

/// Reads a plain member, for a table's row: `{"cwd", read_member<&Process::cwd>}`.
template <auto Member, typename Object>
void read_member(Object& object, const Value& value) {
  read(object.*Member, value);
}

/// The same for a list of strings with at most `max_entries`.
template <auto Member, typename Object>
void read_entries(Object& object, const Value& value) {
  check_count(value);
  read(object.*Member, value);
}

/// Whether two names are equal except for the case of ASCII letters.
bool is_other_case(std::string_view one, std::string_view other) noexcept;

/// Whether the table has the field.
template <typename Object, std::size_t count>
bool reads(const Field<Object> (&fields)[count], std::string_view name) {
  return std::ranges::any_of(fields,
                             [name](const Field<Object>& field) { return field.name == name; });
}

/// A name in the spec, and the kernel's number for it.
struct Word {
  std::string_view name;
  std::uint64_t number;
};

/// Returns the entry with that name; null if there is none.
template <std::size_t count>
const Word* find_word(const Word (&words)[count], std::string_view name) {
  const Word* found = std::ranges::find(words, name, &Word::name);
  return found == std::end(words) ? nullptr : found;
}

/// Returns the entry with that number; null if there is none.
template <std::size_t count>
const Word* find_number(const Word (&words)[count], std::uint64_t number) {
  const Word* found = std::ranges::find(words, number, &Word::number);
  return found == std::end(words) ? nullptr : found;
}

template <typename Object, std::size_t count>
void read_fields(Object& object, const Value& value, const Field<Object> (&fields)[count]) {
  static_assert(count <= 32);
  std::uint32_t seen = 0;
  const auto take = [&](std::size_t i, const Value& member) {
    if (!member.is_null()) {
      seen |= 1U << i;
      fields[i].read(object, member);
    }
  };
  value.for_each_member([&](std::string_view key, const Value& member) {
    for (std::size_t i = 0; i < count; ++i) {
      if (fields[i].name == key) {
        take(i, member);
        return;
      }
    }
    // Engines in Go, and their runtimes, ignore the case of keys. Such a key must not be skipped
    // silently as an unknown member.
    for (std::size_t i = 0; i < count; ++i) {
      if (is_other_case(fields[i].name, key)) {
        take(i, member);
        return;
      }
    }
  });
  for (std::size_t i = 0; i < count; ++i) {
    if (fields[i].required && (seen & 1U << i) == 0) {
      value.fail_missing(fields[i].name);
    }
  }
}

}  // namespace tare::json

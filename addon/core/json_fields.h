/// \file
/// JSON objects into structs, by tables: one row a field, with the function that reads it. A table
/// is also the list of the fields that are known; members that are not in it are ignored, as the
/// spec's "Extensibility" demands. A member that is null counts as absent.
///
/// `read(target, value)` is overloaded for each type that a field can have. A struct gets its own
/// overload, a (static) function of its namespace, which calls `read_fields` with the struct's
/// table.
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

#include "tare/json.h"

namespace tare::json {

template <typename Object>
struct Field {
  std::string_view name;
  void (*read)(Object& object, const Value& value);
  bool required = false;
};

inline constexpr bool required = true;

/// The string of `value`; refuses one that holds a NUL, where every system call would see another
/// string.
std::string_view c_string(const Value& value);
/// The same for a member's key.
void check_key(std::string_view key, const Value& value);
/// The most entries of a list, or members of an object, of which each stands for something that is
/// done (a mount, a rule, a sysctl): by two orders of magnitude more than any engine writes, and
/// few enough that what is done for each pair of them takes no time to speak of. Lists of plain
/// strings and numbers have the limits of what takes them.
inline constexpr std::size_t most_entries = 16384;
/// Refuses a list or an object with more entries.
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

/// The reader of a plain member, for a table's row: `{"cwd", read_member<&Process::cwd>}`.
template <auto Member, typename Object>
void read_member(Object& object, const Value& value) {
  read(object.*Member, value);
}

/// The same for a list of strings with at most `most_entries`.
template <auto Member, typename Object>
void read_entries(Object& object, const Value& value) {
  check_count(value);
  read(object.*Member, value);
}

/// Whether two names differ in the case of ASCII letters alone.
bool is_other_case(std::string_view one, std::string_view other) noexcept;

/// Whether the table has the field.
template <typename Object, std::size_t count>
bool reads(const Field<Object> (&fields)[count], std::string_view name) {
  return std::ranges::any_of(fields,
                             [name](const Field<Object>& field) { return field.name == name; });
}

/// A word of the spec, and the kernel's number for it.
struct Word {
  std::string_view name;
  std::uint64_t number;
};

/// The word of that name; null where the table has none.
template <std::size_t count>
const Word* find_word(const Word (&words)[count], std::string_view name) {
  const Word* found = std::ranges::find(words, name, &Word::name);
  return found == std::end(words) ? nullptr : found;
}

/// The word for that number; null where the table has none.
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
    // Engines in Go, and the runtimes that they have grown up with, do not look at case: what works
    // there must not be taken for an unknown member, and so be left out without a word.
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

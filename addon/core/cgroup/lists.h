/// \file
/// Reads lists in files of cgroupfs and procfs, and enables controllers.
#pragma once

#include <algorithm>
#include <string>
#include <string_view>

namespace tare {

/// Calls `visit` with each non-empty part of `text` between `separator`s; stops when it returns
/// false.
template <typename Visit>
void for_each_part(std::string_view text, char separator, Visit visit) {
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find(separator, at), text.size());
    if (end != at && !visit(text.substr(at, end - at))) {
      return;
    }
    at = end + 1;
  }
}

/// Whether `words`, separated by spaces and ended by a newline or the end of the text, contain
/// `word`.
inline bool has_word(std::string_view words, std::string_view word) {
  bool found = false;
  for_each_part(words.substr(0, words.find('\n')), ' ', [&](std::string_view each) {
    found = each == word;
    return !found;
  });
  return found;
}

/// Returns the JSON path for "PREFIX FIELD" of a message: without the name of the JSON text.
inline std::string json_path(std::string_view prefix, std::string_view field) {
  const std::size_t colon = prefix.rfind(": ");
  return std::string(prefix.substr(colon == prefix.npos ? 0 : colon + 2)).append(field);
}

/// Enabled for every container if possible: engines read the statistics of a container without
/// limits from them, and a container that makes cgroups itself may use them. Others (hugetlb alone
/// costs 20 µs per container) are enabled only for a container with limits, where users rely on the
/// controllers that other runtimes enable.
inline constexpr std::string_view usual_controllers = "cpuset cpu io memory pids";

/// Returns the controllers that are `wanted` and `offered` but not `enabled`: "+cpu +memory".
std::string missing_controllers(std::string_view wanted, std::string_view offered,
                                std::string_view enabled);

/// Enables the wanted controllers that the cgroup `directory` has for its children. Returns 0, or
/// the errno of the first that could not be enabled.
int enable_controllers(int directory, std::string_view wanted);

}  // namespace tare

/// \file
/// The lists in files of cgroupfs and procfs, and the controllers that they name.
#pragma once

#include <algorithm>
#include <string>
#include <string_view>

namespace tare {

/// Calls `visit` with each part of `text` between `separator`s that is not empty; stops when it
/// returns false.
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

/// Whether `words`, separated by spaces and ended by a newline or by their end, hold `word`.
inline bool has_word(std::string_view words, std::string_view word) {
  bool found = false;
  for_each_part(words.substr(0, words.find('\n')), ' ', [&](std::string_view each) {
    found = each == word;
    return !found;
  });
  return found;
}

/// The place in a JSON text of what messages call "PREFIX FIELD": without the name of the text.
inline std::string json_path(std::string_view prefix, std::string_view field) {
  const std::size_t colon = prefix.rfind(": ");
  return std::string(prefix.substr(colon == prefix.npos ? 0 : colon + 2)).append(field);
}

/// Enabled for every container, where they can be: what engines show of one without limits comes
/// from them, and a container that makes cgroups itself may use them. Others (hugetlb alone costs
/// 20 µs a container) only for a container that is limited: who limits one counts on finding there
/// what other runtimes have.
inline constexpr std::string_view usual_controllers = "cpuset cpu io memory pids";

/// "+cpu +memory": what is `wanted` and `offered` but not in `enabled`.
std::string missing_controllers(std::string_view wanted, std::string_view offered,
                                std::string_view enabled);

/// Enables in the cgroup `directory` what is wanted and it can hand on to children. Returns 0, or
/// the errno of the first that could not be enabled.
int enable_controllers(int directory, std::string_view wanted);

}  // namespace tare

/// \file
/// Reads lists in files of cgroupfs and procfs.
#pragma once

#include <algorithm>
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

}  // namespace tare

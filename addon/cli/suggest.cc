#include "suggest.h"

#include <algorithm>
#include <vector>

namespace tare::cli {

namespace {

/// Longer words are not taken for misspelt ones.
constexpr std::size_t max_length = 64;

/// Returns the number of edits between two words, where no part is edited twice (optimal string
/// alignment).
std::size_t edits_between(std::string_view from, std::string_view to) {
  // Rows of the table of edits between prefixes of both words: for the last two characters and this
  // one.
  std::vector<std::size_t> before_last(to.size() + 1);
  std::vector<std::size_t> last(to.size() + 1);
  std::vector<std::size_t> row(to.size() + 1);
  for (std::size_t j = 0; j <= to.size(); j++) row[j] = j;
  for (std::size_t i = 1; i <= from.size(); i++) {
    before_last.swap(last);
    last.swap(row);
    row[0] = i;
    for (std::size_t j = 1; j <= to.size(); j++) {
      const std::size_t replaced = last[j - 1] + (from[i - 1] == to[j - 1] ? 0 : 1);
      row[j] = std::min({replaced, last[j] + 1, row[j - 1] + 1});
      if (i > 1 && j > 1 && from[i - 1] == to[j - 2] && from[i - 2] == to[j - 1]) {
        row[j] = std::min(row[j], before_last[j - 2] + 1);
      }
    }
  }
  return row.back();
}

}  // namespace

std::string_view nearest(std::string_view given, std::span<const std::string_view> known) {
  std::string_view found;
  std::size_t limit = given.size() / 3;
  if (given.size() > max_length) limit = 0;
  for (const std::string_view word : known) {
    if (limit == 0) break;
    const std::size_t edits = edits_between(given, word);
    if (edits > limit) continue;
    found = word;
    // Of several words that are equally near the first one counts.
    limit = edits - 1;
  }
  return found;
}

std::string did_you_mean(std::string_view word) {
  return word.empty() ? "" : "; did you mean " + std::string(word) + "?";
}

}  // namespace tare::cli

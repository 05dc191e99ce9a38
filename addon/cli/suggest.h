/// \file
/// Finds the word that a misspelt one was meant to be.
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace tare::cli {

/// Returns the word of `known` that is nearest to `given`, if that takes at most one edit for every
/// three characters: one inserted, left out, replaced, or exchanged with its neighbour. Empty if
/// none is near.
std::string_view nearest(std::string_view given, std::span<const std::string_view> known);

/// Returns "; did you mean WORD?", or an empty string if `word` is empty.
std::string did_you_mean(std::string_view word);

}  // namespace tare::cli

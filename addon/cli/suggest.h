/// \file
/// What a misspelt word was meant to be.
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace tare::cli {

/// The one of `known` that `given` is nearest to, if that takes at most one edit for every three
/// characters: one inserted, left out, replaced, or exchanged with its neighbour. Empty where none
/// is near.
std::string_view nearest(std::string_view given, std::span<const std::string_view> known);

/// "; did you mean WORD?", or nothing where `word` is empty.
std::string did_you_mean(std::string_view word);

}  // namespace tare::cli

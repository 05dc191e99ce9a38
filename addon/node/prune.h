/// \file
/// Removal of expired entries from a growing collection.
#pragma once

#include <algorithm>
#include <cstddef>

namespace tare::node {

/// The size at which expired entries are removed, at first.
inline constexpr std::size_t first_prune_at = 64;

/// Removes the entries that are `is_expired` once there are `prune_at`, and sets `prune_at` to
/// twice what is left: the work for each added entry stays constant.
template <class Entries, class IsExpired>
void prune(Entries& entries, std::size_t& prune_at, IsExpired is_expired) {
  if (entries.size() < prune_at) return;
  std::erase_if(entries, is_expired);
  prune_at = std::max(first_prune_at, entries.size() * 2);
}

}  // namespace tare::node

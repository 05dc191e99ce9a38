// Ranges of host ids, each used by one container at a time, for containers of root.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "container/bundle.h"

namespace tare {

/// Whether the configuration maps ids of `own_ids_placeholder`.
bool wants_own_ids(const Spec& spec);
/// Replaces a mapping to the placeholder by one to the range that begins with `first`.
void give_own_ids(IdMapping& mapping, std::uint32_t first);
/// Returns where the text of a configuration has a `hostID` of the placeholder range.
std::vector<std::size_t> find_own_ids(const std::string& config);
/// Replaces the placeholder range by the range that begins with `first`, in the configuration's
/// text too.
void give_own_ids(Bundle& bundle, std::uint32_t first);

/// Takes a range for the container with the state directory `owner` and returns its first id. The
/// range counts as in use while that directory exists, even after the end of this process, so the
/// directory must exist until the range is released. Throws `system`.
std::uint32_t take_id_range(const std::string& owner);
/// Releases a range. Does nothing if the range is not `owner`'s.
void release_id_range(std::uint32_t first, const std::string& owner) noexcept;
/// Releases the ranges of containers whose state directory is gone.
void release_stale_id_ranges();

}  // namespace tare

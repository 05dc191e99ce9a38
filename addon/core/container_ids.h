// Ranges of host ids that one container has at a time, for containers of root.
#pragma once

#include <cstdint>
#include <string>

#include "container_bundle.h"

namespace tare {

/// Whether the configuration maps ids of `own_ids_placeholder`.
bool wants_own_ids(const Spec& spec);
/// Puts the range that begins with `first` in the placeholder's place, in the configuration's text
/// too.
void give_own_ids(Bundle& bundle, std::uint32_t first);

/// Takes a range for the container whose state directory is `owner`, which is there until the range
/// is released: that is how it is known to be in use, also after the end of this process. Gives its
/// first id. Throws `system`.
std::uint32_t take_id_range(const std::string& owner);
/// Nothing happens where the range is not `owner`'s.
void release_id_range(std::uint32_t first, const std::string& owner) noexcept;
/// Releases those of containers whose state directory is gone.
void release_stale_id_ranges();

}  // namespace tare

/// \file
/// Remedies for failures that both init and the host can meet.
#pragma once

#include <cerrno>
#include <cstdint>
#include <string>

#include "tare/wire.h"

namespace tare {

/// Returns the remedy for a bind mount's source that cannot be opened, to be appended to the
/// reason. `flags`: those of its op.
inline std::string source_remedy(std::uint32_t flags, int errnum) {
  if (errnum == ENOENT) {
    return "; the source of the mount does not exist: make it, or correct the path";
  }
  if (errnum == ELOOP && (flags & wire::op_source_no_symlinks) != 0) {
    return "; a symlink is on the way, which src-no-symlinks excludes: name the path without "
           "symlinks";
  }
  if (errnum == EXDEV && (flags & wire::op_source_beneath) != 0) {
    return "; the source of the mount must lie below the directory of src-within";
  }
  return {};
}

}  // namespace tare

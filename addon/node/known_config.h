/// \file
/// Most configurations differ only in their process: the last one is kept as it was parsed, and so
/// are the entries of its root.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "tare/container.h"
#include "tare/spec.h"

namespace tare::node {

/// Returns the result of sound_config(), or null if that has none. Can be called from any thread.
std::shared_ptr<const Spec> known_config(const std::string& config);

/// Returns the result of parse_root_entries(), or throws what that throws. Can be called from any
/// thread.
std::shared_ptr<const std::vector<RootEntry>> known_root_entries(const std::string& text);

}  // namespace tare::node

/// \file
/// Configurations are mostly the same but for their processes: the last one is kept as it was
/// parsed, and so are the entries of its root.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "tare/container.h"
#include "tare/spec.h"

namespace tare::node {

/// What sound_config() makes of `config`; null for none. From any thread.
std::shared_ptr<const Spec> known_config(const std::string& config);

/// What parse_root_entries() makes of `text`, or throws. From any thread.
std::shared_ptr<const std::vector<RootEntry>> known_root_entries(const std::string& text);

}  // namespace tare::node

/// \file
/// Configurations are mostly the same but for their processes: the last one is kept as it was
/// parsed.
#pragma once

#include <memory>
#include <string>

#include "tare/spec.h"

namespace tare::node {

/// What sound_config() makes of `config`; null for none. From any thread.
std::shared_ptr<const Spec> known_config(const std::string& config);

}  // namespace tare::node

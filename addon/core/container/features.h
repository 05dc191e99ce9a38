/// \file
/// The features of this version, for callers that query them before writing a config.json. See
/// runtime-spec's features.md and features-linux.md.
#pragma once

#include <string>

namespace tare {

/// Returns the Features structure as indented JSON without a final line break. It describes this
/// build, not the running kernel, except for `supportedFlags`.
std::string features_json();

}  // namespace tare

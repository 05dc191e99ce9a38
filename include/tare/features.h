/// \file
/// What this version implements, for callers that want to know before they write a config.json. See
/// runtime-spec's features.md and features-linux.md.
#pragma once

#include <string>

namespace tare {

/// The Features structure as indented JSON without a final line break. It tells what was built in,
/// not what this kernel has, but for `supportedFlags`.
std::string features_json();

}  // namespace tare

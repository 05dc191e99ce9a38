// The log that criu(8) writes.
#pragma once

#include <string>

namespace tare {

/// Returns the last errors in a log of criu's, one per line; empty if there are none.
std::string criu_errors(const std::string& log);

}  // namespace tare

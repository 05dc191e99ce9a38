/// \file
/// The directory that holds the state directories of all containers (`--root`).
#pragma once

#include <string>

namespace tare {

/// Returns why other users make `root` unsafe for storing state; empty if it is safe or absent.
/// Other users may read the names in it: containers' directories are 0700.
std::string state_root_problem(const std::string& root);

/// Throws `invalid_argument` if other users make `root` unsafe.
void refuse_unsafe_root(const std::string& root);
/// The same, but root may look at the directory of any user.
void refuse_root_of_others(const std::string& root);

}  // namespace tare

/// \file
/// What the files of a cgroup's directory say.
#pragma once

#include <string>

#include "tare/cgroup_stats.h"

namespace tare {

/// The statistics in the files of `directory`, which errors call `place`; what is not there is 0.
/// `pids` is the highest number where the directory has no pids.current.
CgroupStats read_cgroup_stats(int directory, const std::string& place);

}  // namespace tare

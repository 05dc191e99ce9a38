/// \file
/// Reads the files of a cgroup's directory.
#pragma once

#include <string>

#include "tare/cgroup_stats.h"

namespace tare {

/// Reads the statistics in the files of `directory`; missing ones are 0. `pids` is the highest
/// number if there is no pids.current. Errors name `path`.
CgroupStats read_cgroup_stats(int directory, const std::string& path);

}  // namespace tare

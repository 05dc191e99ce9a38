/// \file
/// The controllers that a cgroup offers to its children.
#pragma once

#include <string>
#include <string_view>

namespace tare {

/// Enabled for every container if possible: engines read the statistics of a container without
/// limits from them, and a container that makes cgroups itself may use them. Others (hugetlb alone
/// costs 20 µs per container) are enabled only for a container with limits, where users rely on the
/// controllers that other runtimes enable.
inline constexpr std::string_view usual_controllers = "cpuset cpu io memory pids";

/// Returns the controllers that are `wanted` and `offered` but not `enabled`: "+cpu +memory".
std::string missing_controllers(std::string_view wanted, std::string_view offered,
                                std::string_view enabled);

/// Enables the wanted controllers that the cgroup `directory` has for its children. Returns 0, or
/// the errno of the first that could not be enabled.
int enable_controllers(int directory, std::string_view wanted);

}  // namespace tare

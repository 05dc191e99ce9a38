// The parts of an examination, and their shared facts about the caller.
#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "cgroup/cgroup.h"
#include "doctor/probe.h"
#include "tare/doctor.h"

namespace tare {

struct ExaminedCaller {
  const Runtime& runtime;  ///< with `root` set
  bool rootless = false;
  bool tolerant = false;  ///< tolerates cgroup permission errors
  CgroupHost cgroups;
};

/// The timeout for a service manager's answer.
inline constexpr std::chrono::milliseconds systemd_timeout{5000};

using Findings = std::vector<Finding>;

void examine_kernel(const ExaminedCaller& caller, Findings& findings);
void examine_namespaces(const ExaminedCaller& caller, Findings& findings);
void examine_file_systems(const ExaminedCaller& caller, Findings& findings);
void examine_cgroups(const ExaminedCaller& caller, Findings& findings);
void examine_privileges(const ExaminedCaller& caller, Findings& findings);
void examine_users(const ExaminedCaller& caller, Findings& findings);
void examine_security(const ExaminedCaller& caller, Findings& findings);
void examine_services(const ExaminedCaller& caller, Findings& findings);
void examine_state(const ExaminedCaller& caller, Findings& findings);

/// Sets the status of `finding` from the probe's result: missing if the probe failed; limited if it
/// could not enter the namespaces that it needed, so that the result is unknown. `since` is the
/// first kernel version with the feature.
Finding evaluate(Finding finding, const ProbeResult& result, const std::string& since);

}  // namespace tare

// The parts of an examination, and what they know of the caller.
#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "doctor_probe.h"
#include "tare/cgroup.h"
#include "tare/doctor.h"

namespace tare {

struct ExaminedCaller {
  const Runtime& runtime;  ///< with its root
  bool rootless = false;
  bool tolerant = false;  ///< of permission errors of cgroups
  CgroupHost cgroups;
};

/// How long a service manager may take to answer.
inline constexpr std::chrono::milliseconds systemd_patience{5000};

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

/// `finding` as the probe's result makes it: missing where it failed; limited, as nobody can tell,
/// where it did not get into the namespaces that it needed. `since` is the kernel that has it.
Finding judged(Finding finding, const ProbeResult& result, const std::string& since);

}  // namespace tare

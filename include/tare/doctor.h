/// \file
/// Examines which host features for containers are missing. Each feature is tested or looked up,
/// and reported with a remedy. The result depends on the kernel's behaviour, not on its version.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "tare/container.h"

namespace tare {

enum class FindingStatus : std::uint8_t {
  ok,
  limited,  ///< present, but incomplete or not for this caller
  missing,
};
/// "ok", "limited", "missing".
const char* finding_status_name(FindingStatus status) noexcept;

struct Finding {
  const char* group;  ///< "kernel", "namespaces", "cgroups", …; never null
  std::string name;   ///< stable, as docs/doctor.md lists it: "clone3", "controller-memory"
  FindingStatus status = FindingStatus::ok;
  /// Whether the config of `spec` (of `spec --rootless` for an unprivileged caller) requires it. A
  /// start fails only if a required feature is missing.
  bool required = false;
  std::string found;       ///< what is present, or how the test failed
  std::string needed_for;  ///< what containers or commands need it for
  std::string remedy;      ///< what the user can do; empty if the status is ok
};

struct Examination {
  bool rootless = false;   ///< the caller is an ordinary user
  std::string state_root;  ///< the runtime's, or the default one
  std::vector<Finding> findings;

  /// Whether nothing required is missing.
  bool can_start() const noexcept;
};

/// Examines this host from the caller's perspective. Changes nothing: tests run in child processes,
/// in namespaces that end with them. Forks, so the process must be single-threaded. With
/// `runtime.systemd_cgroup` the caller's service manager is required.
Examination examine_host(const Runtime& runtime);

/// Returns the examination as indented JSON without a final line break; docs/doctor.md lists its
/// keys.
std::string examination_json(const Examination& examination);

}  // namespace tare

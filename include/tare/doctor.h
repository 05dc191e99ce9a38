/// \file
/// What this host lacks for what: each thing that containers are made of, tried or looked at, with
/// the remedy. It goes by what the kernel does, not by its version.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "tare/container.h"

namespace tare {

enum class FindingStatus : std::uint8_t {
  ok,
  limited,  ///< there, but not all of it, or not for this caller
  missing,
};
/// "ok", "limited", "missing".
const char* finding_status_name(FindingStatus status) noexcept;

struct Finding {
  const char* group;  ///< "kernel", "namespaces", "cgroups", …; never null
  std::string name;   ///< stable, as docs/doctor.md lists it: "clone3", "controller-memory"
  FindingStatus status = FindingStatus::ok;
  /// Whether the config of `spec` (of `spec --rootless` for a caller who is not root) cannot be
  /// started without it. Only where one of these is missing a start fails.
  bool required = false;
  std::string found;       ///< what is there, or how it failed
  std::string needed_for;  ///< what containers or commands need it for
  std::string remedy;      ///< what a person can do; empty where the status is ok
};

struct Examination {
  bool rootless = false;   ///< the caller is an ordinary user
  std::string state_root;  ///< that of the runtime, or the default one
  std::vector<Finding> findings;

  /// Whether nothing that is required is missing.
  bool can_start() const noexcept;
};

/// Looks at this host as the caller sees it. Nothing is changed: what must be tried is tried by
/// child processes, in namespaces that end with them. Forks, and so is for a process with one
/// thread. With `runtime.systemd_cgroup` the caller's service manager is required.
Examination examine_host(const Runtime& runtime);

/// The examination as indented JSON without a final line break; docs/doctor.md has its keys.
std::string examination_json(const Examination& examination);

}  // namespace tare

/// \file
/// All checks that refuse a config, before any side effect. Pure: no system calls.
#pragma once

#include <string>
#include <vector>

#include "tare/spec.h"

namespace tare {

/// One error in a config.
struct Problem {
  std::string path;          ///< JSON path, e.g. `linux.namespaces[2].type`
  std::string message;       ///< what is wrong, and the remedy
  bool unsupported = false;  ///< valid by the spec but not implemented
};

/// Returns every problem of `spec`, in document order; empty if it can be run.
std::vector<Problem> find_problems(const Spec& spec);
/// Returns the problems of a process object that is to be executed in a container of `spec`. Their
/// paths are relative to the object: `user.uid`.
std::vector<Problem> find_process_problems(const Process& process, const Spec& spec);

/// Throws `invalid_config` (or `unsupported`) for the first problem: "NAME: PATH: message".
void validate(const Spec& spec, const std::string& name);
/// The same for a process; `source` provides the names of its fields.
void validate_process(const Process& process, const Spec& spec, const ProcessSource& source);

/// The same for a linux.resources object alone; paths are relative to it.
void validate_resources(const Resources& resources, const std::string& name);

/// The same for mounts that are to be added to the running container of `spec`, in place of its
/// own; paths are relative to their array. In addition to what a config may not have, refuses
/// mounts whose meaning differs between host and container, and ones that would uncover masked
/// paths.
void validate_further_mounts(const Spec& spec, const std::string& name);

/// Throws `invalid_argument` unless `id` is 1 to 1024 bytes of [A-Za-z0-9_+.-], and not "." or
/// "..".
void validate_id(const std::string& id);

}  // namespace tare

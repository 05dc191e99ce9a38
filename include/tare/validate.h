/// \file
/// Every refusal of a config, before any side effect. Pure: no system calls.
#pragma once

#include <string>
#include <vector>

#include "tare/spec.h"

namespace tare {

/// One thing that is wrong with a config.
struct Problem {
  std::string path;          ///< JSON path, e.g. `linux.namespaces[2].type`
  std::string message;       ///< what is wrong, and what to do
  bool unsupported = false;  ///< valid by the spec but not implemented
};

/// Every problem of `spec`, in document order; empty where it can be run.
std::vector<Problem> find_problems(const Spec& spec);
/// Problems of a process object that is to be executed in a container of `spec`.
/// Their paths are those of the object, `user.uid`.
std::vector<Problem> find_process_problems(const Process& process, const Spec& spec);

/// Throws `invalid_config` (or `unsupported`) for the first problem: "NAME: PATH: message".
void validate(const Spec& spec, const std::string& name);
/// The same for a process that `source` knows the places of.
void validate_process(const Process& process, const Spec& spec, const ProcessSource& source);

/// The same for a linux.resources object alone; places are relative to it.
void validate_resources(const Resources& resources, const std::string& name);

/// The same for mounts that are to be made in the running container of `spec`, in place of its own;
/// places are relative to the array of them. Refused, beside what a config may not have, are those
/// that mean one thing on the host and another in the container, and those that would uncover what
/// the container masks.
void validate_further_mounts(const Spec& spec, const std::string& name);

/// Throws `invalid_argument` unless `id` is 1 to 1024 bytes of [A-Za-z0-9_+.-], and not "." or
/// "..".
void validate_id(const std::string& id);

}  // namespace tare

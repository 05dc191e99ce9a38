/// \file
/// Parsing of flags and arguments of single verbs, without side effects: all of it can be refused
/// before a container is looked up.
#pragma once

#include <chrono>
#include <string>

#include "args.h"
#include "tare/spec.h"

namespace tare::cli {

/// Parses a signal: a name with or without SIG, or a number. 0 is a number: it only tests whether
/// the process exists. Throws `invalid_argument`.
int parse_signal(const std::string& text);

/// Parses "1m30s", "1.5h", "100ms": decimal numbers, each with its unit. Throws UsageError.
std::chrono::nanoseconds parse_interval(const std::string& text);

/// Returns the limits that update's flags name. Throws `invalid_argument`.
Resources resources_by_flags(const Arguments& given);

/// Returns the container's own process, changed by exec's flags, which are recorded in `source`.
/// Throws `invalid_argument`.
Process process_by_flags(Process process, const Arguments& given, ProcessSource& source);

}  // namespace tare::cli

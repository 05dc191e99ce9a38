/// \file
/// Parsing of flags and arguments of single verbs: all of it can be refused before a container is
/// looked up.
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
Resources parse_limits(const Arguments& given);
/// Returns a flag of a limit that is given; null if none is.
const Flag* find_limit(const Arguments& given);

/// Returns the container's own process, changed by exec's flags, which are recorded in `source`.
/// Throws `invalid_argument`.
Process parse_exec_process(Process process, const Arguments& given, ProcessSource& source);
/// Returns the process in the file of --process, with --tty; refuses flags and words that it would
/// override.
Process read_exec_process(const Arguments& given, ProcessSource& source);

}  // namespace tare::cli

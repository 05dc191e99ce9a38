/// \file
/// What flags and arguments of single verbs come to. Nothing is done here: all of it can be refused
/// before a container is looked for.
#pragma once

#include <chrono>
#include <string>

#include "args.h"
#include "tare/spec.h"

namespace tare::cli {

/// A name with or without SIG, or a number. 0 is a number: it only asks whether the process is
/// there. Throws `invalid_argument`.
int parse_signal(const std::string& text);

/// "1m30s", "1.5h", "100ms": decimal numbers, each with its unit. Throws UsageError.
std::chrono::nanoseconds parse_interval(const std::string& text);

/// The limits that update's flags name. Throws `invalid_argument`.
Resources resources_by_flags(const Arguments& given);

/// The container's own process, changed by exec's flags, which are noted in `source`. Throws
/// `invalid_argument`.
Process process_by_flags(Process process, const Arguments& given, ProcessSource& source);

}  // namespace tare::cli

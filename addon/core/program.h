// Running a program of the host to its end: hooks and the id map helpers.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tare/fd.h"

namespace tare {

struct ProgramOptions {
  std::string path;  ///< absolute, or a name to be found in PATH; empty: args[0]
  std::optional<std::vector<std::string>> env;  ///< none: the caller's
  std::string_view input;                       ///< for its standard input
  std::optional<int> timeout;                   ///< seconds; then it is killed
  std::string working_directory;                ///< empty: the caller's
};

struct ProgramResult {
  bool found = true;  ///< false: there is no such program
  bool timed_out = false;
  int status = 0;      ///< exit status, or 128 + signal
  std::string output;  ///< the last of what it wrote to standard output and error
};

/// Runs `args` to its end. Throws `system` where it cannot be started for another reason than
/// absence.
ProgramResult run_program(const std::vector<std::string>& args, const ProgramOptions& options = {});

/// Pipes for a program's standard input and its output, the program's ends and ours.
struct ProgramPipes {
  Fd input_theirs;
  Fd input_ours;
  Fd output_theirs;
  Fd output_ours;

  ProgramPipes();
};

/// Feeds `input`, collects output, waits for `pidfd`, kills it after `timeout` seconds, reaps it.
ProgramResult attend_program(int pidfd, ProgramPipes& pipes, std::string_view input,
                             std::optional<int> timeout);

}  // namespace tare

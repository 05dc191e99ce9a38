// Running a program of the host to its end: hooks and the id map helpers.
#pragma once

#include <sys/types.h>

#include <array>
#include <functional>
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
  /// Files to which its output is appended; empty: the output goes to ProgramResult::output.
  std::string stdout_file;
  std::string stderr_file;
  std::function<void(pid_t)> started;  ///< called with its pid; must not throw
};

struct ProgramResult {
  bool found = true;  ///< false: there is no such program
  bool timed_out = false;
  int status = 0;      ///< exit status, or 128 + signal
  std::string output;  ///< the end of what it wrote to standard output and error
};

/// Runs `args` to its end. Throws `system` where it cannot be started for another reason than
/// absence.
ProgramResult run_program(const std::vector<std::string>& args, const ProgramOptions& options = {});

/// Pipes for a program's standard input and output: the program's ends and ours.
struct ProgramPipes {
  Fd input_theirs;
  Fd input_ours;
  Fd output_theirs;
  Fd output_ours;

  ProgramPipes();
  /// Appends what the program writes to `fd`, 1 or 2, to that file, which is created if absent;
  /// does nothing where `file` is empty.
  void redirect(int fd, const std::string& file);
  /// Returns the descriptor that becomes the program's `fd`, 1 or 2.
  int output(int fd) const;

 private:
  std::array<Fd, 2> files_;
};

/// Feeds `input`, collects output, waits for `pidfd`, kills it after `timeout` seconds, reaps it.
ProgramResult attend_program(int pidfd, ProgramPipes& pipes, std::string_view input,
                             std::optional<int> timeout);

}  // namespace tare

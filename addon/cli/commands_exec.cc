// exec.
#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <optional>
#include <utility>

#include "commands.h"
#include "foreground.h"
#include "given.h"
#include "log.h"
#include "passed.h"
#include "tare/error.h"
#include "tare/spec.h"
#include "terminal.h"

namespace tare::cli {

namespace {

[[noreturn]] void refuse(const std::string& what) {
  throw Error(ErrorKind::invalid_argument, what);
}

/// Returns the process of --process FILE. Flags and words that it would override are refused, not
/// ignored.
Process process_by_file(const Arguments& given, ProcessSource& source) {
  static constexpr std::array others = {
      &flag::cwd, &flag::user,         &flag::additional_gids, &flag::env,
      &flag::cap, &flag::no_new_privs, &flag::process_label,   &flag::apparmor};
  const std::string file = given.text(flag::process);
  for (const Flag* other : others) {
    if (given.given(*other)) {
      refuse("--process " + file + " describes the whole process: leave out --" + other->name);
    }
  }
  if (given.positional().size() > 1) {
    refuse("--process " + file + " describes the whole process: leave out the command \"" +
           given.positional()[1] + "\"");
  }
  Process process = parse_process(read_file(AT_FDCWD, file), file);
  source = {.document = file, .prefix = ""};
  if (given.is_set(flag::tty)) {
    process.terminal = true;
    source.elsewhere.emplace_back("terminal", "--tty");
  }
  return process;
}

}  // namespace

int exec(const Call& call) {
  const Arguments& given = call.arguments;
  const bool detach = given.is_set(flag::detach);
  check_console_socket(given);
  Container container = Container::open(call.runtime, call.id());
  ExecOptions options;
  options.process =
      given.given(flag::process)
          ? process_by_file(given, options.source)
          : process_by_flags(container.spec().process.value_or(Process()), given, options.source);
  options.sub_cgroup = given.texts(flag::cgroup);
  options.ignore_paused = given.is_set(flag::ignore_paused);
  options.pid_file = given.text(flag::pid_file);
  options.allow_terminal_without_socket = !detach;
  if (!detach) options.prepare_console = prepare_console;
  options.stdio = stdio_of_caller(given, 0, flag::exec_preserve_fds);

  std::optional<HeldSignals> signals;
  if (!detach) signals.emplace();
  StartedProcess process = container.exec(options);
  if (log::debugging()) log::debug("process: " + std::to_string(process.pid));
  return detach ? 0 : wait_in_foreground(*signals, std::move(process), nullptr);
}

}  // namespace tare::cli

// exec.
#include <optional>
#include <utility>

#include "commands/commands.h"
#include "foreground.h"
#include "inherited_fds.h"
#include "log.h"
#include "parse/parse.h"
#include "tare/spec.h"
#include "terminal.h"

namespace tare::cli {

int exec(const Call& call) {
  const Arguments& given = call.arguments;
  const bool detach = given.is_set(flag::detach);
  check_console_socket(given);
  Container container = Container::open(call.runtime, call.id());
  ExecOptions options;
  options.process =
      given.given(flag::process)
          ? read_exec_process(given, options.source)
          : parse_exec_process(container.spec().process.value_or(Process()), given, options.source);
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

// kill, delete, pause, resume.
#include <signal.h>
#include <string.h>

#include <optional>

#include "commands/commands.h"
#include "log.h"
#include "parse/parse.h"
#include "tare/error.h"

namespace tare::cli {

int kill(const Call& call) {
  const auto words = call.arguments.positional();
  const int signal = words.size() > 1 ? parse_signal(words[1]) : SIGTERM;
  Container::open(call.runtime, call.id()).kill(signal, call.arguments.is_set(flag::all));
  return 0;
}

int remove(const Call& call) {
  const bool force = call.arguments.is_set(flag::force);
  std::optional<Container> container;
  try {
    container.emplace(Container::open(call.runtime, call.id()));
  } catch (const Error& error) {
    // A bad id names no container, so --force does not apply to it.
    if (!force || error.kind() == ErrorKind::invalid_argument) throw;
    log::debug(error.what());
    remove_leftovers(call.runtime, call.id());
    return 0;
  }
  container->remove(force);
  return 0;
}

int pause(const Call& call) {
  Container::open(call.runtime, call.id()).pause();
  return 0;
}

int resume(const Call& call) {
  Container::open(call.runtime, call.id()).resume();
  return 0;
}

}  // namespace tare::cli

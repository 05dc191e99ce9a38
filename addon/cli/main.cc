// tare: the command line. Start-up is most of the cost of a short verb, so nothing here needs a
// constructor before main, a locale or a name service, and output is one write(2).
#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <vector>

#include "commands/commands.h"
#include "log.h"
#include "suggest.h"
#include "tare/error.h"
#include "verbs.h"

namespace tare::cli {

namespace {

/// Opens closed standard streams: otherwise the next file that is opened would take the descriptor,
/// and the container would get it.
void open_standard_streams() {
  std::array<pollfd, 3> streams = {{{0, 0, 0}, {1, 0, 0}, {2, 0, 0}}};
  if (::poll(streams.data(), streams.size(), 0) <= 0) return;
  for (const pollfd& stream : streams) {
    if ((stream.revents & POLLNVAL) != 0 && ::open("/dev/null", O_RDWR) < 0) std::abort();
  }
}

/// Throws UsageError unless the number of positional arguments fits the verb.
void check_count(const Verb& verb, std::size_t count) {
  const auto min = static_cast<std::size_t>(verb.min_arguments);
  const auto max = static_cast<std::size_t>(verb.max_arguments);
  const char* how = nullptr;
  std::size_t wanted = min;
  if (verb.max_arguments == verb.min_arguments) {
    if (count != min) how = "exactly";
  } else if (count < min) {
    how = "a minimum of";
  } else if (verb.max_arguments >= 0 && count > max) {
    how = "a maximum of";
    wanted = max;
  }
  if (how == nullptr) return;
  throw UsageError{std::string(program_name()) + ": \"" + verb.name + "\" requires " + how + " " +
                   std::to_string(wanted) + " argument(s)"};
}

std::optional<bool> parse_rootless(const std::string& text) {
  bool value = false;
  if (text.empty() || text == "auto") return std::nullopt;
  if (!parse_boolean(text, value)) {
    throw Error(ErrorKind::invalid_argument,
                "--rootless " + text + ": expected true, false or auto");
  }
  return value;
}

/// Returns --root as an absolute path; empty if it is not given: the core chooses then.
std::string parse_root(const Arguments& arguments) {
  if (!arguments.given(flag::root)) return {};
  const std::string given = arguments.text(flag::root);
  std::string root = absolute_path(given);
  if (given.empty() || root == "/") {
    throw Error(ErrorKind::invalid_argument,
                "--root \"" + given + "\": must not be /, name a directory of its own");
  }
  return root;
}

void open_log(const Arguments& arguments) {
  const std::string format = arguments.text(flag::log_format);
  if (!format.empty() && format != "text" && format != "json") {
    throw Error(ErrorKind::invalid_argument,
                "--log-format " + format + ": invalid log-format, expected text or json");
  }
  log::open({.path = arguments.text(flag::log),
             .format = format == "json" ? log::Format::json : log::Format::text,
             .has_format = arguments.given(flag::log_format),
             .debug = arguments.is_set(flag::debug)});
}

/// A program gets the whole help, as from runc. On a terminal that would hide the message.
int fail(const UsageError& error, const Verb* verb) {
  if (log::is_for_people()) {
    const std::string line = verb == nullptr ? usage() : usage(*verb);
    const std::string name = line.substr(0, line.find(" ["));
    log::error(error.what, error.what + "\nusage: " + line + "\nsee " + name + " --help");
  } else {
    print("Incorrect Usage.\n\n" + (verb == nullptr ? help() : help(*verb)));
    log::error(error.what);
  }
  return 1;
}

/// Returns the message, for a mount with the words by which users of runc recognise that it failed.
/// The container is being set up, so an error with an errno about a mount comes from init.
std::string sentence(const Verb& verb, const Error& error) {
  const bool is_mount = error.errnum() != 0 && error.path().starts_with("mounts[");
  if (!is_mount) return error.what();
  return std::string(program_name()) + " " + verb.name +
         " failed: unable to start container process: error during container init: error "
         "mounting: " +
         error.what();
}

/// Reports a program that has no executable format, or whose interpreter is missing. Omits time and
/// level where a script may read the message: scripts made for runc expect only this line.
bool tell_as_program(const Error& error) {
  const bool is_program =
      error.syscall() == "execve" &&
      (error.kind() == ErrorKind::command_not_found ||
       (error.kind() == ErrorKind::command_not_executable && error.errnum() == ENOEXEC));
  if (!is_program || !log::is_for_scripts()) return false;
  log::plain("exec " + error.path() + ": " + errno_words(error.errnum()));
  return true;
}

/// Returns tare's own message, and for a container that does not exist where to look.
std::string sentence_for_people(const Error& error, const Arguments& global) {
  std::string text = error.what();
  // The path is that of the container's state; an error without one is about a missing --root.
  if (error.kind() == ErrorKind::not_found && !error.path().empty()) {
    text += "; " + std::string(program_name());
    if (global.given(flag::root)) text += " --root " + global.text(flag::root);
    text += " list shows what there is";
  }
  return text;
}

int run_verb(const Verb& verb, Arguments& global, std::span<char* const> words) {
  try {
    const Arguments arguments(words, verb.flags, verb.after, inherited_flags());
    if (global.take(arguments, inherited_flags())) open_log(global);
    if (arguments.help()) {
      print(help(verb));
      return 0;
    }
    check_count(verb, arguments.positional().size());
    const Runtime runtime = {.root = parse_root(global),
                             .systemd_cgroup = global.is_set(flag::systemd_cgroup),
                             .rootless = parse_rootless(global.text(flag::rootless)),
                             .warn = [](const std::string& text) { log::warning(text); },
                             .debug = log::debugging() ? log::debug : nullptr};
    if (log::debugging()) log::debug(std::string("command: ") + verb.name);
    return verb.run({runtime, arguments});
  } catch (const UsageError& error) {
    return fail(error, &verb);
  } catch (const Error& error) {
    if (!tell_as_program(error)) {
      log::error(sentence(verb, error), sentence_for_people(error, global));
    }
    return verb.failure;
  } catch (const std::exception& error) {
    log::error(error.what());
    return verb.failure;
  }
}

/// Reports an unknown command. Returns the exit status that runc has for this alone.
int no_such_command(const std::string& name) {
  constexpr int status = 3;
  const std::string help_command = std::string(program_name()) + " help";
  if (find_package_command(name) != nullptr) {
    log::error(name + ": a command of the package on npm, not of this program: npx tare " + name +
               " (see " + help_command + " " + name + ")");
    return status;
  }
  std::vector<std::string_view> names = {"help"};
  for (const Verb& verb : verbs()) names.emplace_back(verb.name);
  for (const PackageCommand& command : package_commands()) names.emplace_back(command.name);
  const std::string_view meant = nearest(name, names);
  const std::string rest =
      meant.empty() ? "; " + help_command + " lists the commands" : did_you_mean(meant);
  log::error("No help topic for '" + name + "', see " + help_command + did_you_mean(meant),
             "unknown command " + name + rest);
  return status;
}

bool is_help(std::string_view name) { return name == "help" || name == "h"; }

/// Prints the help of `name`, or of all commands if it is empty.
int print_help(const std::string& name) {
  if (const Verb* verb = find_verb(name); verb != nullptr) {
    print(help(*verb));
  } else if (const PackageCommand* command = find_package_command(name); command != nullptr) {
    print(help(*command));
  } else if (name.empty() || is_help(name)) {
    print(help());
  } else {
    return no_such_command(name);
  }
  return 0;
}

int run_words(Arguments& global) {
  if (global.is_set(flag::version)) {
    print(version(program_name()));
    return 0;
  }
  const auto words = global.positional();
  if (global.help() || words.empty()) return print_help({});
  open_log(global);
  const std::string name = words.front();
  if (is_help(name)) return print_help(words.size() > 1 ? words[1] : "");
  const Verb* verb = find_verb(name);
  if (verb != nullptr) return run_verb(*verb, global, words.subspan(1));
  return no_such_command(name);
}

int main(std::span<char* const> words) {
  open_standard_streams();
  set_program_name(words.front());
  try {
    Arguments global(words.subspan(1), global_flags(), AfterArgument::command);
    return run_words(global);
  } catch (const UsageError& error) {
    return fail(error, nullptr);
  } catch (const std::exception& error) {
    log::error(error.what());
    return 1;
  }
}

}  // namespace

}  // namespace tare::cli

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/lsan_interface.h>
#endif

int main(int argc, char** argv) {
  const int status = tare::cli::main({argv, static_cast<std::size_t>(argc)});
#ifdef __SANITIZE_ADDRESS__
  __lsan_do_leak_check();
#endif
  // All output has been written: there is nothing for exit(3) to flush.
  _exit(status);
}

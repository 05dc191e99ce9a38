#include "commands/commands.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "tare/error.h"
#include "tare/printable.h"
#include "tare/spec.h"

namespace tare::cli {

void print(std::string_view text) { write_all(STDOUT_FILENO, text, "standard output"); }

bool is_second_choice(const Call& call, const Flag& flag, std::string_view first,
                      std::string_view second) {
  const std::string choice = call.arguments.text(flag);
  if (choice == second) return true;
  if (choice == first || !call.arguments.given(flag)) return false;
  throw Error(ErrorKind::invalid_argument, "--" + std::string(flag.name) + " " + choice +
                                               ": invalid format option, expected " +
                                               std::string(first) + " or " + std::string(second));
}

int features(const Call&) {
  print(tare::features() + "\n");
  return 0;
}

int spec(const Call& call) {
  const std::string bundle = call.arguments.text(flag::bundle);
  const std::string path = bundle.empty() ? "config.json" : bundle + "/config.json";
  const Fd file(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666));
  if (!file && errno == EEXIST) {
    throw Error(ErrorKind::already_exists, path + " exists: remove it first")
        .with_errno(EEXIST, "open")
        .with_path(path);
  }
  if (!file) throw_errno("open", path);
  const bool rootless = call.arguments.is_set(flag::rootless_spec);
  write_all(file.get(), default_spec_json(rootless, ::geteuid(), ::getegid()), path);
  return 0;
}

int plan(const Call& call) {
  const Arguments& given = call.arguments;
  CreateOptions options;
  options.bundle = given.text(flag::bundle);
  options.no_pivot = given.is_set(flag::no_pivot);
  options.no_new_keyring = given.is_set(flag::no_new_keyring);
  // The caller decides about the terminal at run; the plan is the same.
  options.allow_terminal_without_socket = true;
  const bool json = is_second_choice(call, flag::text_format, "text", "json");
  const std::string text = Container::plan_text(call.runtime, options, json);
  print(json ? text : printable(text));
  return 0;
}

}  // namespace tare::cli

// The flags of exec that describe its process.
#include <fcntl.h>

#include <optional>
#include <string_view>

#include "parse/parse.h"
#include "tare/error.h"
#include "tare/fd.h"
#include "verbs.h"

namespace tare::cli {

namespace {

[[noreturn]] void refuse(const std::string& what) {
  throw Error(ErrorKind::invalid_argument, what);
}

/// Parses UID[:GID], numbers only: a name would have to be looked up in files of the container.
void set_user(User& user, const std::string& text) {
  const auto colon = text.find(':');
  const bool has_gid = colon != std::string::npos;
  if (!parse_number(std::string_view(text).substr(0, colon), user.uid) ||
      (has_gid && !parse_number(std::string_view(text).substr(colon + 1), user.gid))) {
    refuse("--user \"" + text + "\": expected UID or UID:GID, as numbers from 0 to 4294967295");
  }
  // In setresuid(2) the highest value means "leave it as it is".
  if (user.uid == UINT32_MAX || user.gid == UINT32_MAX) {
    refuse("--user \"" + text + "\": invalid id 4294967295; it means \"no change\" to the kernel");
  }
}

/// Adds NAME=VALUE in place of an earlier NAME.
void set_variable(std::vector<std::string>& env, const std::string& variable) {
  const auto equals = variable.find('=');
  if (equals == std::string::npos || equals == 0) {
    refuse("--env \"" + variable + "\": expected NAME=VALUE");
  }
  const std::string name = variable.substr(0, equals + 1);
  std::erase_if(env, [&](const std::string& other) { return other.starts_with(name); });
  env.push_back(variable);
}

/// Adds to the bounding, effective and permitted sets. Never to the inheritable set, from which it
/// would pass to any program; to the ambient set, which must be a subset of that, only if the
/// inheritable set has it already.
void add_capability(Capabilities& sets, const std::string& name) {
  const std::optional<int> number = capability_number(name);
  if (!number) refuse("--cap " + name + ": unknown capability");
  const std::uint64_t bit = std::uint64_t{1} << *number;
  sets.bounding |= bit;
  sets.effective |= bit;
  sets.permitted |= bit;
  if (sets.ambient != 0) sets.ambient |= bit & sets.inheritable;
}

/// A flag of exec that sets a field of the process, and the name of that field in config.json. The
/// first row whose field is a prefix of a field in a message names its origin.
struct ProcessFlag {
  const Flag* flag;
  const char* field;
  void (*set)(Process&, const Arguments&);  ///< called if the flag is given
  bool is_allowed_with_file = false;        ///< with --process
};

constexpr ProcessFlag process_flags[] = {
    {&flag::tty, "terminal",
     [](Process& process, const Arguments& given) { process.terminal = given.is_set(flag::tty); },
     true},
    {&flag::cwd, "cwd",
     [](Process& process, const Arguments& given) { process.cwd = given.text(flag::cwd); }},
    {&flag::additional_gids, "user.additionalGids",
     [](Process& process, const Arguments& given) {
       for (const std::uint32_t gid : given.numbers(flag::additional_gids)) {
         process.user.additional_gids.push_back(gid);
       }
     }},
    {&flag::user, "user",
     [](Process& process, const Arguments& given) {
       set_user(process.user, given.text(flag::user));
     }},
    {&flag::env, "env",
     [](Process& process, const Arguments& given) {
       for (const std::string& variable : given.texts(flag::env)) {
         set_variable(process.env, variable);
       }
     }},
    {&flag::cap, "capabilities",
     [](Process& process, const Arguments& given) {
       if (!process.capabilities) process.capabilities.emplace();
       for (const std::string& name : given.texts(flag::cap)) {
         add_capability(*process.capabilities, name);
       }
     }},
    {&flag::no_new_privs, "noNewPrivileges",
     [](Process& process, const Arguments& given) {
       process.no_new_privileges = given.is_set(flag::no_new_privs);
     }},
    {&flag::apparmor, "apparmorProfile",
     [](Process& process, const Arguments& given) {
       process.apparmor_profile = given.text(flag::apparmor);
     }},
    {&flag::process_label, "selinuxLabel",
     [](Process& process, const Arguments& given) {
       process.selinux_label = given.text(flag::process_label);
     }},
};

}  // namespace

Process parse_exec_process(Process process, const Arguments& given, ProcessSource& source) {
  const auto words = given.positional();
  if (words.size() < 2) refuse("exec args cannot be empty: name a command, or use --process");
  if (process.cwd.empty()) process.cwd = "/";
  process.args.assign(words.begin() + 1, words.end());
  process.terminal = false;
  for (const ProcessFlag& row : process_flags) {
    if (!given.given(*row.flag)) continue;
    row.set(process, given);
    source.elsewhere.emplace_back(row.field, std::string("--") + row.flag->name);
  }
  return process;
}

Process read_exec_process(const Arguments& given, ProcessSource& source) {
  const std::string file = given.text(flag::process);
  const std::string whole = "--process " + file + " describes the whole process: leave out ";
  for (const ProcessFlag& row : process_flags) {
    if (!row.is_allowed_with_file && given.given(*row.flag)) refuse(whole + "--" + row.flag->name);
  }
  if (given.positional().size() > 1) {
    refuse(whole + "the command \"" + given.positional()[1] + "\"");
  }
  Process process = parse_process(read_file(AT_FDCWD, file), file);
  source = {.document = file, .prefix = ""};
  if (given.is_set(flag::tty)) {
    process.terminal = true;
    source.elsewhere.emplace_back("terminal", "--tty");
  }
  return process;
}

}  // namespace tare::cli

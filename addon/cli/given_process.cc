// The flags of exec that describe its process.
#include <optional>
#include <string_view>
#include <utility>

#include "given.h"
#include "tare/error.h"
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
    refuse("--user \"" + text + "\": 4294967295 is no user or group");
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

}  // namespace

Process process_by_flags(Process process, const Arguments& given, ProcessSource& source) {
  const auto words = given.positional();
  if (words.size() < 2) refuse("exec args cannot be empty: name a command, or use --process");
  if (process.cwd.empty()) process.cwd = "/";
  process.args.assign(words.begin() + 1, words.end());
  process.terminal = given.is_set(flag::tty);
  if (given.given(flag::cwd)) process.cwd = given.text(flag::cwd);
  if (given.given(flag::user)) set_user(process.user, given.text(flag::user));
  for (const std::uint32_t gid : given.numbers(flag::additional_gids)) {
    process.user.additional_gids.push_back(gid);
  }
  for (const std::string& variable : given.texts(flag::env)) set_variable(process.env, variable);
  for (const std::string& name : given.texts(flag::cap)) {
    if (!process.capabilities) process.capabilities.emplace();
    add_capability(*process.capabilities, name);
  }
  if (given.given(flag::no_new_privs)) process.no_new_privileges = given.is_set(flag::no_new_privs);
  if (given.given(flag::apparmor)) process.apparmor_profile = given.text(flag::apparmor);
  if (given.given(flag::process_label)) process.selinux_label = given.text(flag::process_label);
  static constexpr std::pair<const Flag*, const char*> fields[] = {
      {&flag::tty, "terminal"},
      {&flag::cwd, "cwd"},
      {&flag::additional_gids, "user.additionalGids"},
      {&flag::user, "user"},
      {&flag::env, "env"},
      {&flag::cap, "capabilities"},
      {&flag::no_new_privs, "noNewPrivileges"},
      {&flag::apparmor, "apparmorProfile"},
      {&flag::process_label, "selinuxLabel"},
  };
  for (const auto& [given_flag, field] : fields) {
    if (given.given(*given_flag)) {
      source.elsewhere.emplace_back(field, std::string("--") + given_flag->name);
    }
  }
  return process;
}

}  // namespace tare::cli

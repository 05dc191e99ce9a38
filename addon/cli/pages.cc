#include "pages.h"

#include <algorithm>

#include "commands/commands.h"
#include "tare/error.h"

namespace tare::cli {

namespace {

constexpr Flag help_flag{"help", 'h', FlagType::boolean, "", "print this"};

std::vector<std::string> split(std::string_view text, char between) {
  std::vector<std::string> parts;
  for (;;) {
    const std::size_t end = text.find(between);
    parts.emplace_back(text.substr(0, end));
    if (end == std::string_view::npos) return parts;
    text.remove_prefix(end + 1);
  }
}

/// Returns whether the parts are literal words: those of "text|json" are, those of "FILE|-" are
/// not.
bool are_words(const std::vector<std::string>& parts) {
  const auto is_word = [](const std::string& part) {
    return !part.empty() && std::ranges::all_of(part, [](char c) {
      return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
    });
  };
  return parts.size() > 1 && std::ranges::all_of(parts, is_word);
}

}  // namespace

Value value_of(const Flag& flag) {
  if (flag.type == FlagType::boolean) return {};
  const std::string_view name = flag.value;
  std::vector<std::string> parts = split(name, '|');
  if (are_words(parts)) return {Completes::words, std::move(parts)};
  if (name == "DIR") return {Completes::directory, {}};
  if (name == "PATH" || parts.front() == "FILE") return {Completes::file, {}};
  return {Completes::nothing, {}};
}

std::vector<Value> arguments_of(const Verb& verb) {
  std::vector<Value> values;
  for (const std::string& word : split(verb.arguments, ' ')) {
    // What follows is literal, or belongs to the container's program.
    if (word == "|" || word.empty()) break;
    const std::string name = word.substr(1, word.find_last_of(">]") - 1);
    std::vector<std::string> choices = split(name, '|');
    if (name == "container-id") {
      values.push_back({verb.makes_container ? Completes::nothing : Completes::container, {}});
    } else if (name == "signal") {
      values.push_back({Completes::signal, {}});
    } else if (are_words(choices)) {
      values.push_back({Completes::words, std::move(choices)});
    } else {
      values.push_back({name == "verb"   ? Completes::verb
                        : name == "file" ? Completes::file
                                         : Completes::nothing,
                        {}});
    }
  }
  return values;
}

std::vector<const Flag*> shown_flags(const Verb* verb) {
  std::vector<const Flag*> flags;
  for (const Flag* flag : verb == nullptr ? global_flags() : verb->flags) {
    if (!flag->hidden) flags.push_back(flag);
  }
  flags.push_back(&help_flag);
  return flags;
}

std::string one_line(std::string_view help) {
  std::string line(help);
  std::ranges::replace(line, '\n', ' ');
  return line;
}

int completion(const Call& call) {
  const std::string_view shell = call.id();
  if (shell == "bash") {
    print(bash_completion(program_name()));
  } else if (shell == "zsh") {
    print(zsh_completion(program_name()));
  } else if (shell == "fish") {
    print(fish_completion(program_name()));
  } else {
    throw Error(ErrorKind::invalid_argument,
                "completion: " + std::string(shell) + ": expected bash, zsh or fish");
  }
  return 0;
}

int man(const Call& call) {
  const auto given = call.arguments.positional();
  const Verb* verb = given.empty() ? nullptr : find_verb(given.front());
  if (verb == nullptr && !given.empty()) {
    const std::string name = given.front();
    const bool is_of_package = find_package_command(name) != nullptr;
    throw Error(ErrorKind::invalid_argument, "man: " + name + ": no such command, see " +
                                                 std::string(program_name()) + " help" +
                                                 (is_of_package ? " " + name : ""));
  }
  print(verb == nullptr ? manual(program_name()) : manual(program_name(), *verb));
  return 0;
}

}  // namespace tare::cli

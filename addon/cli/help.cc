#include <algorithm>

#include "verbs.h"

namespace tare::cli {

namespace {

constexpr std::string_view indent = "   ";

void pad(std::string& line, std::size_t width) {
  line.append(line.size() < width ? width - line.size() : 1, ' ');
}

/// "--bundle DIR, -b DIR"
std::string spelled(const Flag& flag) {
  const std::string value = *flag.value == '\0' ? "" : " " + std::string(flag.value);
  std::string text = "--" + std::string(flag.name) + value;
  if (flag.letter != 0) text += std::string(", -") + flag.letter + value;
  return text;
}

std::string options(Flags flags) {
  static constexpr Flag help_flag{"help", 'h', FlagType::boolean, "", "print this"};
  std::size_t width = spelled(help_flag).size();
  for (const Flag* flag : flags) {
    if (!flag->hidden) width = std::max(width, spelled(*flag).size());
  }
  width += 2 * indent.size();

  std::string text;
  const auto add = [&](const Flag& flag) {
    std::string line = std::string(indent) + spelled(flag);
    pad(line, width);
    for (const char c : std::string_view(flag.help)) {
      line += c;
      if (c == '\n') line.append(width, ' ');
    }
    text += line + "\n";
  };
  for (const Flag* flag : flags) {
    if (!flag->hidden) add(*flag);
  }
  add(help_flag);
  return text;
}

/// Every line of `text`, indented.
std::string indented(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    const auto end = text.find('\n');
    out += std::string(indent) + std::string(text.substr(0, end)) + "\n";
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
  }
  return out;
}

std::string_view called = "tare";

/// The first section of every help.
std::string title(std::string_view name, std::string_view usage) {
  return "NAME:\n" + std::string(indent) + std::string(name) + " - " + std::string(usage) + "\n";
}

std::string name_of(std::string_view verb) { return std::string(called) + " " + std::string(verb); }

}  // namespace

std::string_view program_name() noexcept { return called; }

void set_program_name(const char* called_as) noexcept {
  std::string_view name = called_as;
  name.remove_prefix(name.find_last_of('/') + 1);  // npos + 1 is 0
  if (!name.empty()) called = name;
}

std::string usage() { return std::string(called) + " [option ...] command [argument ...]"; }

std::string usage(const Verb& verb) {
  const std::string arguments = *verb.arguments == '\0' ? "" : " " + std::string(verb.arguments);
  return name_of(verb.name) + " [option ...]" + arguments;
}

std::string help() {
  std::string text =
      title(called, "Open Container Initiative runtime") + "\nUSAGE:\n" + indented(usage());
  std::size_t width = std::string_view("help, h").size();
  for (const Verb& verb : verbs()) width = std::max(width, std::string_view(verb.name).size());
  width += 2 * indent.size();
  const auto add = [&](std::string_view name, std::string_view what) {
    std::string line = std::string(indent) + std::string(name);
    pad(line, width);
    text += line + std::string(what) + "\n";
  };
  text += "\nCOMMANDS:\n";
  for (const Verb& verb : verbs()) add(verb.name, verb.usage);
  add("help, h", "print this, or the help of a command");
  text += "\nCOMMANDS OF THE PACKAGE ON NPM (npx tare):\n";
  for (const PackageCommand& command : package_commands()) add(command.name, command.usage);
  return text + "\nOPTIONS:\n" + options(global_flags());
}

std::string help(const Verb& verb) {
  std::string text = title(name_of(verb.name), verb.usage) + "\nUSAGE:\n" + indented(usage(verb));
  if (*verb.description != '\0') text += "\nDESCRIPTION:\n" + indented(verb.description);
  return text + "\nOPTIONS:\n" + options(verb.flags);
}

std::string help(const PackageCommand& command) {
  const std::string name = "npx tare " + std::string(command.name);
  return title(name, command.usage) + "\nUSAGE:\n" + indented(name + " [option ...]") +
         "\nDESCRIPTION:\n" +
         indented("A command of the package on npm, not of this program: " + name +
                  " --help\nprints its options. Without npm, copy this program, which is one file, "
                  "to where\n"
                  "engines look for it, such as /usr/local/sbin/tare.\n");
}

}  // namespace tare::cli

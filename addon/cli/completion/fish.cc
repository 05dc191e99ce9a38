// The completion script for fish: a line for each flag of each verb.
#include "pages.h"

namespace tare::cli {

namespace {

std::string quoted(std::string_view text) {
  std::string out = "'";
  for (const char c : text) {
    if (c == '\'' || c == '\\') out += '\\';
    out += c;
  }
  return out + "'";
}

/// Returns what completes a value, as flags of complete(1).
std::string action(const Value& value, const std::string& function) {
  switch (value.kind) {
    case Completes::none:
      return "";
    case Completes::nothing:
      return " -x";
    case Completes::words: {
      std::string text = " -x -a '";
      for (const std::string& word : value.words) text += (text.back() == '\'' ? "" : " ") + word;
      return text + "'";
    }
    case Completes::file:
      return " -r -F";
    case Completes::directory:
      return " -x -a '(__fish_complete_directories)'";
    case Completes::container:
      return " -x -a '(" + function + "_containers)'";
    case Completes::signal:
      return " -x -a '(__fish_make_completion_signals; string split \" \" -f 2 -- "
             "$__kill_signals)'";
    case Completes::verb: {
      std::string text = " -x -a '";
      for (const Verb& verb : verbs())
        text += (text.back() == '\'' ? "" : " ") + std::string(verb.name);
      return text + "'";
    }
  }
  return "";
}

std::string flag_line(const std::string& begin, const Flag& flag, const std::string& function) {
  std::string text = begin + " -l " + flag.name;
  if (flag.letter != 0) text += std::string(" -s ") + flag.letter;
  return text + action(value_of(flag), function) + " -d " + quoted(one_line(flag.help)) + "\n";
}

}  // namespace

std::string fish_completion(std::string_view program) {
  const std::string name(program);
  const std::string function = "__" + name;
  std::string text = "# Completion of " + name + " in fish; made by `" + name +
                     " completion fish`.\n\nfunction " + function + R"(_containers
    set -l root
    set -l words (commandline -opc)
    for i in (seq (count $words))
        string match -qr -- '^--?root=' $words[$i]; and set root --root (string replace -r -- '^--?root=' '' $words[$i])
        string match -qr -- '^--?root$' $words[$i]; and set root --root $words[(math $i + 1)]
    end
    $words[1] $root list -q 2>/dev/null
end

)";
  const std::string complete = "complete -c " + name;
  text += complete + " -f\n";
  for (const Flag* flag : shown_flags(nullptr)) {
    text += flag_line(complete + " -n __fish_use_subcommand", *flag, function);
  }
  for (const Verb& verb : verbs()) {
    text +=
        complete + " -n __fish_use_subcommand -a " + verb.name + " -d " + quoted(verb.usage) + "\n";
  }
  for (const Verb& verb : verbs()) {
    const std::string begin = complete + " -n '__fish_seen_subcommand_from " + verb.name + "'";
    for (const Flag* flag : shown_flags(&verb)) text += flag_line(begin, *flag, function);
    for (const Value& value : arguments_of(verb)) {
      if (value.kind != Completes::nothing) text += begin + action(value, function) + "\n";
    }
  }
  return text;
}

}  // namespace tare::cli

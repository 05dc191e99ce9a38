// The completion script for zsh: _arguments(1) does the work, each verb is a list of its
// specifications.
#include "pages.h"

namespace tare::cli {

namespace {

/// Quotes `text` for use between single quotes, and escapes the `special` characters of _arguments.
std::string quoted(std::string_view text, std::string_view special) {
  std::string out;
  for (const char c : text) {
    if (c == '\'') {
      out += "'\\''";
      continue;
    }
    if (special.find(c) != std::string_view::npos) out += '\\';
    out += c;
  }
  return out;
}

/// Returns what completes a value: an action of _arguments.
std::string action(const Value& value) {
  switch (value.kind) {
    case Completes::none:
    case Completes::nothing:
      return " ";
    case Completes::words: {
      std::string text = "(";
      for (const std::string& word : value.words) text += (text.size() > 1 ? " " : "") + word;
      return text + ")";
    }
    case Completes::file:
      return "_files";
    case Completes::directory:
      return "_files -/";
    case Completes::container:
      return "_%P_containers";
    case Completes::signal:
      return "_signals -s";
    case Completes::verb:
      return "_%P_verbs";
  }
  return " ";
}

/// Returns "'(-b --bundle)'{-b+,--bundle=}'[the bundle]:DIR:_files -/'".
std::string specification(const Flag& flag) {
  const Value value = value_of(flag);
  const bool takes = value.kind != Completes::none;
  const bool repeats = flag.type == FlagType::texts || flag.type == FlagType::numbers;
  const std::string name = "--" + std::string(flag.name);
  std::string text;
  if (flag.letter != 0) {
    const std::string letter = std::string("-") + flag.letter;
    text = repeats ? "'*'" : "'(" + letter + " " + name + ")'";
    text += "{" + letter + (takes ? "+" : "") + "," + name + (takes ? "=" : "") + "}'";
  } else {
    text = std::string("'") + (repeats ? "*" : "") + name + (takes ? "=" : "");
  }
  text += "[" + quoted(one_line(flag.help), "[]\\:") + "]";
  if (takes) text += ":" + quoted(flag.value, "\\:") + ":" + action(value);
  return text + "'";
}

std::string specifications(const Verb* verb, std::string_view indent) {
  std::string text;
  for (const Flag* flag : shown_flags(verb)) {
    text += " \\\n" + std::string(indent) + specification(*flag);
  }
  return text;
}

std::string verb_case(const Verb& verb) {
  std::string text = "        " + std::string(verb.name) + ")\n          _arguments -S";
  // What follows the arguments belongs to the container's program, or to ps(1).
  if (verb.after == AfterArgument::arguments) text += " -A '-*'";
  text += specifications(&verb, "            ");
  std::size_t number = 1;
  for (const Value& value : arguments_of(verb)) {
    text += " \\\n            '" + std::to_string(number++) + ":argument:" + action(value) + "'";
  }
  if (verb.max_arguments < 0) text += " \\\n            '*:argument: '";
  return text + "\n          ;;\n";
}

}  // namespace

std::string zsh_completion(std::string_view program) {
  std::string text = R"(#compdef %P
# Completion of %P in zsh; made by `%P completion zsh`.

_%P_verbs() {
  local -a verbs=(
)";
  for (const Verb& verb : verbs()) {
    text += "    '" + std::string(verb.name) + ":" + quoted(verb.usage, "\\:") + "'\n";
  }
  text += R"zsh(  )
  _describe command verbs
}

_%P_containers() {
  local -a ids=(${(f)"$(_call_program containers $service ${root:+--root=$root} list -q 2>/dev/null)"})
  compadd -a ids
}

_%P() {
  local context state line root
  typeset -A opt_args
  _arguments -S -C)zsh";
  text += specifications(nullptr, "    ");
  text += R"( \
    '1:command:_%P_verbs' \
    '*::argument:->rest'
  root=${(Q)opt_args[--root]}
  case $state in
    rest)
      case $words[1] in
)";
  for (const Verb& verb : verbs()) text += verb_case(verb);
  text += R"(      esac
      ;;
  esac
}

if [ "$funcstack[1]" = _%P ]; then
  _%P "$@"
else
  compdef _%P %P
fi
)";
  for (std::size_t at = text.find("%P"); at != std::string::npos; at = text.find("%P", at)) {
    text.replace(at, 2, program);
  }
  return text;
}

}  // namespace tare::cli

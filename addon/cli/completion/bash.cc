// The completion script for bash. Its tables are functions with `case`, so that it works from bash
// 4.3 on.
#include <algorithm>

#include "pages.h"

namespace tare::cli {

namespace {

/// Returns the kind as `_PROGRAM_complete` takes it: "words a b", "file", …
std::string kind(const Value& value) {
  switch (value.kind) {
    case Completes::none:
      return "";
    case Completes::nothing:
      return "nothing";
    case Completes::words: {
      std::string text = "words";
      for (const std::string& word : value.words) text += " " + word;
      return text;
    }
    case Completes::file:
      return "file";
    case Completes::directory:
      return "directory";
    case Completes::container:
      return "container";
    case Completes::signal:
      return "signal";
    case Completes::verb:
      return "verb";
  }
  return "";
}

std::string spelled(const std::vector<const Flag*>& flags) {
  std::string text;
  for (const Flag* flag : flags) {
    text += std::string(text.empty() ? "" : " ") + "--" + flag->name;
    if (flag->letter != 0) text += std::string(" -") + flag->letter;
  }
  return text;
}

bool is_global(std::string_view name) {
  return std::ranges::any_of(global_flags(), [&](const Flag* flag) { return name == flag->name; });
}

/// Returns the lines "'create bundle' | 'create b') REPLY=directory ;;". `verb` is empty for flags
/// before the verb, which may also stand behind it.
std::string flag_cases(std::string_view verb, const std::vector<const Flag*>& flags) {
  std::string text;
  for (const Flag* flag : flags) {
    const std::string what = kind(value_of(*flag));
    const bool hides = !verb.empty() && is_global(flag->name);
    if (what.empty() && !hides) continue;
    const auto pattern = [&](const std::string& name) {
      return verb.empty() ? "*' " + name + "'" : "'" + std::string(verb) + " " + name + "'";
    };
    text += "    " + pattern(flag->name);
    if (flag->letter != 0) text += " | " + pattern(std::string(1, flag->letter));
    text += ") REPLY='" + what + "' ;;\n";
  }
  return text;
}

constexpr std::string_view head = R"bash(# Completion of %P in bash; made by `%P completion bash`.

# What the value of the flag $2 of the command $1 is; empty: it takes none.
_%P_value() {
  REPLY=
  case "$1 $2" in
%VALUES  esac
}

# What the argument $2 of the command $1 is.
_%P_argument() {
  REPLY=nothing
  case "$1 $2" in
%ARGUMENTS  esac
}

# The flags of the command $1.
_%P_flags() {
  case "$1" in
%FLAGS  esac
}

# Completes $2, which is a $1.
_%P_complete() {
  local -a kind
  read -ra kind <<<"$1"
  case "${kind[0]}" in
    words) COMPREPLY=($(compgen -W "${kind[*]:1}" -- "$2")) ;;
    file)
      compopt -o filenames
      mapfile -t COMPREPLY < <(compgen -f -- "$2")
      ;;
    directory)
      compopt -o filenames
      mapfile -t COMPREPLY < <(compgen -d -- "$2")
      ;;
    container)
      COMPREPLY=($(compgen -W "$("$program" "${root[@]}" list -q 2>/dev/null)" -- "$2"))
      ;;
    signal) COMPREPLY=($(compgen -A signal -- "$2")) ;;
    verb) COMPREPLY=($(compgen -W "$verbs" -- "$2")) ;;
  esac
}

_%P() {
  local program=${COMP_WORDS[0]} verbs='%VERBS'
  local verb= flag= only= count=0 word joined= i REPLY
  local -a words=() root=()
  # bash breaks words at "=" and ":" as well.
  for ((i = 1; i <= COMP_CWORD; i++)); do
    word=${COMP_WORDS[i]}
    if [[ $word == [=:] && ${#words[@]} -gt 0 ]]; then
      words[-1]+=$word
      joined=1
    elif [[ $joined ]]; then
      words[-1]+=$word
      joined=
    else
      words+=("$word")
    fi
  done
  local current=${words[-1]}
  unset 'words[-1]'
  for word in "${words[@]}"; do
    if [[ $flag ]]; then
      [[ $flag != root ]] || root=(--root "$word")
      flag=
    elif [[ ! $only && $word == -- ]]; then
      only=1
    elif [[ ! $only && $word == -?* ]]; then
      flag=${word#-}
      flag=${flag#-}
      if [[ $flag == *=* ]]; then
        [[ $flag != root=* ]] || root=(--root "${flag#*=}")
        flag=
      else
        _%P_value "$verb" "$flag"
        [[ $REPLY ]] || flag=
      fi
    elif [[ ! $verb ]]; then
      verb=$word
      only=
    else
      count=$((count + 1))
      case $verb in %FIRST) only=1 ;; esac
    fi
  done
  COMPREPLY=()
  if [[ $flag ]]; then
    _%P_value "$verb" "$flag"
    _%P_complete "$REPLY" "$current"
  elif [[ ! $only && $current == -*=* ]]; then
    flag=${current%%=*}
    flag=${flag#-}
    _%P_value "$verb" "${flag#-}"
    _%P_complete "$REPLY" "${current#*=}"
    # Where "=" breaks no words, all of the word is replaced.
    [[ $COMP_WORDBREAKS == *=* ]] || COMPREPLY=("${COMPREPLY[@]/#/${current%%=*}=}")
  elif [[ ! $only && $current == -* ]]; then
    COMPREPLY=($(compgen -W "$(_%P_flags "$verb")" -- "$current"))
  elif [[ ! $verb ]]; then
    _%P_complete verb "$current"
  else
    _%P_argument "$verb" "$count"
    _%P_complete "$REPLY" "$current"
  fi
}

complete -F _%P %P
)bash";

void replace(std::string& text, std::string_view what, std::string_view with) {
  for (std::size_t at = text.find(what); at != std::string::npos;
       at = text.find(what, at + with.size())) {
    text.replace(at, what.size(), with);
  }
}

}  // namespace

std::string bash_completion(std::string_view program) {
  std::string values;
  std::string arguments;
  std::string flags;
  std::string names;
  std::string first;
  for (const Verb& verb : verbs()) {
    const std::string name = verb.name;
    names += (names.empty() ? "" : " ") + name;
    values += flag_cases(name, shown_flags(&verb));
    flags += "    " + name + ") echo '" + spelled(shown_flags(&verb)) + "' ;;\n";
    std::size_t number = 0;
    for (const Value& value : arguments_of(verb)) {
      if (value.kind != Completes::nothing) {
        arguments +=
            "    '" + name + " " + std::to_string(number) + "') REPLY='" + kind(value) + "' ;;\n";
      }
      number++;
    }
    if (verb.after == AfterArgument::arguments) first += (first.empty() ? "" : " | ") + name;
  }
  // A verb's own flag takes precedence over a global one of the same name.
  values += flag_cases("", shown_flags(nullptr));
  flags += "    *) echo '" + spelled(shown_flags(nullptr)) + "' ;;\n";
  std::string text(head);
  replace(text, "%VALUES", values);
  replace(text, "%ARGUMENTS", arguments);
  replace(text, "%FLAGS", flags);
  replace(text, "%VERBS", names);
  replace(text, "%FIRST", first);
  replace(text, "%P", program);
  return text;
}

}  // namespace tare::cli

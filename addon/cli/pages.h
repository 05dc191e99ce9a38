/// \file
/// What is made of the table of verbs beside help: completions of shells and manual pages.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "verbs.h"

namespace tare::cli {

/// What the value of a flag, or an argument, is to a shell.
enum class Completes : std::uint8_t {
  none,       ///< a switch: it takes no value
  nothing,    ///< a value of which a shell knows nothing
  words,      ///< one of a few
  file,       ///< of the host
  directory,  ///< of the host
  container,  ///< the id of one that exists
  signal,
  verb,
};

struct Value {
  Completes kind = Completes::none;
  std::vector<std::string> words;
};

/// By what help calls it: "DIR", "text|json", "<container-id>".
Value value_of(const Flag& flag);
/// The positional arguments of a verb in their order.
std::vector<Value> arguments_of(const Verb& verb);

/// Of `verb`, or of what stands before it where that is null; without those that are hidden, and
/// with --help.
std::vector<const Flag*> shown_flags(const Verb* verb);
/// Help of a flag in one line.
std::string one_line(std::string_view help);

std::string bash_completion(std::string_view program);
std::string zsh_completion(std::string_view program);
std::string fish_completion(std::string_view program);

/// The page PROGRAM(8), or PROGRAM-VERB(8), in the macros of man(7).
std::string manual(std::string_view program);
std::string manual(std::string_view program, const Verb& verb);

}  // namespace tare::cli

/// \file
/// What is generated from the table of verbs besides help: shell completions and manual pages.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "verbs.h"

namespace tare::cli {

/// How a shell completes the value of a flag, or an argument.
enum class Completes : std::uint8_t {
  none,       ///< a switch: it takes no value
  nothing,    ///< a value that a shell cannot complete
  words,      ///< one of a list
  file,       ///< of the host
  directory,  ///< of the host
  container,  ///< the id of an existing container
  signal,
  verb,
};

struct Value {
  Completes kind = Completes::none;
  std::vector<std::string> words;
};

/// Derives the kind from the name in help: "DIR", "text|json", "<container-id>".
Value value_of(const Flag& flag);
/// Returns the positional arguments of a verb in their order.
std::vector<Value> arguments_of(const Verb& verb);

/// Returns the flags of `verb`, or those before the verb if it is null; without hidden ones, and
/// with --help.
std::vector<const Flag*> shown_flags(const Verb* verb);
/// Returns the help of a flag in one line.
std::string one_line(std::string_view help);

std::string bash_completion(std::string_view program);
std::string zsh_completion(std::string_view program);
std::string fish_completion(std::string_view program);

/// Returns the page PROGRAM(8), or PROGRAM-VERB(8), in the macros of man(7).
std::string manual(std::string_view program);
std::string manual(std::string_view program, const Verb& verb);

}  // namespace tare::cli

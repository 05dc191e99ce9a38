/// \file
/// The parser of the command line: flags and positional arguments by a table, with the conventions
/// of the command line that container engines know.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace tare::cli {

enum class FlagType : std::uint8_t {
  boolean,  ///< --flag, --flag=true, --flag=false
  text,     ///< the last one given counts
  texts,    ///< may be repeated; a comma does not separate
  number,   ///< 0 or more, the last one given counts
  numbers,  ///< each 0 … 2^32-1, may be repeated
};

struct Flag {
  const char* name;  ///< without dashes
  char letter;       ///< the short form, 0: none
  FlagType type;
  const char* value;  ///< the name of its value in help: "DIR"; empty for booleans
  const char* help;
  bool hidden = false;
};

using Flags = std::span<const Flag* const>;

/// What may follow the first positional argument.
enum class AfterArgument : std::uint8_t {
  flags,      ///< flags and arguments, in any order; "--" ends the flags
  arguments,  ///< arguments alone; a "--" in front of them is left out
  command,    ///< the argument is a verb, and all that follows belongs to it
};

/// A command line that does not fit its table. `what` is the message.
struct UsageError {
  std::string what;
};

/// The parsed command line. Refers to argv.
class Arguments {
 public:
  /// `more` are flags that are accepted too, unless `flags` has one of that name. Throws
  /// UsageError.
  Arguments(std::span<char* const> words, Flags flags, AfterArgument after, Flags more = {});

  /// Adds the `flags` that `later` has, as given after all that is here. Returns whether it has
  /// any.
  bool take(const Arguments& later, Flags flags);
  bool given(const Flag& flag) const noexcept;
  bool is_set(const Flag& flag) const noexcept;  ///< boolean
  std::string text(const Flag& flag) const;      ///< text; empty if not given
  std::vector<std::string> texts(const Flag& flag) const;
  std::uint32_t number(const Flag& flag) const;  ///< number; 0 if not given
  std::vector<std::uint32_t> numbers(const Flag& flag) const;
  /// --help or -h.
  bool help() const noexcept { return help_; }
  std::span<char* const> positional() const noexcept { return positional_; }

 private:
  struct Given {
    const Flag* flag;
    const char* value;
  };
  std::size_t take_flag(std::span<char* const> words, std::size_t at, Flags flags, Flags more);
  const Given* last(const Flag& flag) const noexcept;

  std::vector<Given> given_;
  std::vector<char*> positional_;
  bool help_ = false;
};

/// Parses decimal digits and nothing else, at most 2^32-1; returns false otherwise.
bool parse_number(std::string_view text, std::uint32_t& number) noexcept;
/// Parses a boolean: 1, t, true, 0, f, false in any usual case; returns false for other words.
bool parse_boolean(std::string_view text, bool& value) noexcept;

}  // namespace tare::cli

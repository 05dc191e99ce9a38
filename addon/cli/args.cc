#include "args.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <string>

#include "suggest.h"

namespace tare::cli {

namespace {

/// Returns the name between the dashes and a '=' or the end.
std::string_view flag_name(std::string_view word) {
  word.remove_prefix(word.starts_with("--") ? 2 : 1);
  return word.substr(0, word.find('='));
}

const Flag* find_flag(Flags flags, std::string_view name) {
  for (const Flag* flag : flags) {
    if (name == flag->name || (name.size() == 1 && name.front() == flag->letter)) return flag;
  }
  return nullptr;
}

/// Returns the flag that was probably meant, with its dashes.
std::string meant_flag(std::string_view name, Flags flags, Flags more) {
  std::vector<std::string_view> names = {"help"};
  for (const Flags some : {flags, more}) {
    for (const Flag* flag : some) {
      if (!flag->hidden) names.emplace_back(flag->name);
    }
  }
  const std::string_view found = nearest(name, names);
  return found.empty() ? "" : "--" + std::string(found);
}

bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

/// Throws UsageError if the value is not of the flag's type.
void check_value(const Flag& flag, const char* value) {
  bool truth = false;
  std::uint32_t number = 0;
  const char* expected = nullptr;
  switch (flag.type) {
    case FlagType::boolean:
      if (!parse_boolean(value, truth)) expected = "true or false";
      break;
    case FlagType::number:
    case FlagType::numbers:
      if (!parse_number(value, number)) expected = "a number from 0 to 4294967295";
      break;
    case FlagType::text:
    case FlagType::texts:
      break;
  }
  if (expected != nullptr) {
    throw UsageError{"invalid value \"" + std::string(value) + "\" for flag --" + flag.name +
                     ": expected " + expected};
  }
}

}  // namespace

Arguments::Arguments(std::span<char* const> words, Flags flags, AfterArgument after, Flags more) {
  for (std::size_t at = 0; at < words.size();) {
    const std::string_view word = words[at];
    const bool has_argument = !positional_.empty();
    const bool ends_flags = word == "--" && !(has_argument && after == AfterArgument::command);
    if (ends_flags || (has_argument && after != AfterArgument::flags)) {
      const auto rest = words.subspan(at + (ends_flags ? 1 : 0));
      positional_.insert(positional_.end(), rest.begin(), rest.end());
      return;
    }
    // A dash alone, and what looks like a negative number, are not flags.
    if (word.size() > 1 && word[0] == '-' && (word[1] == '-' || is_letter(word[1]))) {
      at += take_flag(words, at, flags, more);
    } else {
      positional_.push_back(words[at++]);
    }
  }
}

/// Takes the flag at words[at]; returns the number of words that it used.
std::size_t Arguments::take_flag(std::span<char* const> words, std::size_t at, Flags flags,
                                 Flags more) {
  const std::string_view word = words[at];
  const std::string_view name = flag_name(word);
  const auto equals = word.find('=');
  if (name == "help" || name == "h") {
    help_ = true;
    return 1;
  }
  const Flag* flag = find_flag(flags, name);
  if (flag == nullptr) flag = find_flag(more, name);
  if (flag == nullptr) {
    throw UsageError{"flag provided but not defined: -" + std::string(name) +
                     did_you_mean(meant_flag(name, flags, more))};
  }
  const char* value = equals == std::string_view::npos ? nullptr : words[at] + equals + 1;
  std::size_t used = 1;
  if (value == nullptr && flag->type == FlagType::boolean) value = "true";
  if (value == nullptr) {
    if (at + 1 == words.size()) {
      throw UsageError{"flag needs an argument: " + std::string(word)};
    }
    value = words[at + 1];
    used = 2;
  }
  check_value(*flag, value);
  given_.push_back({flag, value});
  return used;
}

bool Arguments::take(const Arguments& later, Flags flags) {
  const std::size_t before = given_.size();
  for (const Given& one : later.given_) {
    if (std::ranges::find(flags, one.flag) != flags.end()) given_.push_back(one);
  }
  return given_.size() > before;
}

const Arguments::Given* Arguments::last(const Flag& flag) const noexcept {
  for (std::size_t i = given_.size(); i > 0; i--) {
    if (given_[i - 1].flag == &flag) return &given_[i - 1];
  }
  return nullptr;
}

bool Arguments::given(const Flag& flag) const noexcept { return last(flag) != nullptr; }

bool Arguments::is_set(const Flag& flag) const noexcept {
  const Given* found = last(flag);
  bool value = false;
  return found != nullptr && parse_boolean(found->value, value) && value;
}

std::string Arguments::text(const Flag& flag) const {
  const Given* found = last(flag);
  return found == nullptr ? std::string() : std::string(found->value);
}

std::vector<std::string> Arguments::texts(const Flag& flag) const {
  std::vector<std::string> values;
  for (const Given& one : given_) {
    if (one.flag == &flag) values.emplace_back(one.value);
  }
  return values;
}

std::uint32_t Arguments::number(const Flag& flag) const {
  const Given* found = last(flag);
  std::uint32_t value = 0;
  if (found != nullptr) parse_number(found->value, value);
  return value;
}

std::vector<std::uint32_t> Arguments::numbers(const Flag& flag) const {
  std::vector<std::uint32_t> values;
  for (const Given& one : given_) {
    if (one.flag != &flag) continue;
    std::uint32_t value = 0;
    parse_number(one.value, value);
    values.push_back(value);
  }
  return values;
}

bool parse_number(std::string_view text, std::uint32_t& number) noexcept {
  const char* end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, number, 10);
  // from_chars accepts no sign for unsigned types, so a leading '-' is refused as well.
  return !text.empty() && error == std::errc() && rest == end;
}

bool parse_boolean(std::string_view text, bool& value) noexcept {
  static constexpr std::array<std::string_view, 6> yes = {"1", "t", "T", "true", "True", "TRUE"};
  static constexpr std::array<std::string_view, 6> no = {"0", "f", "F", "false", "False", "FALSE"};
  for (std::size_t i = 0; i < yes.size(); i++) {
    if (text == yes[i] || text == no[i]) {
      value = text == yes[i];
      return true;
    }
  }
  return false;
}

}  // namespace tare::cli

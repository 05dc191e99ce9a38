// The command line, with a NUL between two words: the global flags, the verb's flags, and what they
// are parsed to, up to the point where a verb would look for a container.
#include <string>
#include <vector>

#include "cli/args.h"
#include "cli/parse/parse.h"
#include "cli/verbs.h"
#include "fuzz.h"
#include "tare/spec.h"
#include "tare/validate.h"

namespace {

using tare::cli::Arguments;
using tare::cli::Flag;
using tare::cli::FlagType;
using tare::cli::UsageError;

namespace flag = tare::cli::flag;

/// Reads each flag as the verbs do, by its type.
void read_flags(const Arguments& given, tare::cli::Flags flags) {
  for (const Flag* each : flags) {
    switch (each->type) {
      case FlagType::boolean:
        fuzz::require(!given.is_set(*each) || given.given(*each), "a flag is set and not given");
        break;
      case FlagType::text:
        given.text(*each);
        break;
      case FlagType::texts:
        fuzz::require(given.texts(*each).empty() != given.given(*each), "texts of no flag");
        break;
      case FlagType::number:
        given.number(*each);
        break;
      case FlagType::numbers:
        fuzz::require(given.numbers(*each).empty() != given.given(*each), "numbers of no flag");
        break;
    }
  }
}

void read_verb(std::string_view verb, const Arguments& given) {
  const auto words = given.positional();
  if (verb == "kill" && words.size() > 1) {
    const int signal = tare::cli::parse_signal(words[1]);
    fuzz::require(signal >= 0 && signal <= 64, "no signal");
  } else if (verb == "events" && given.given(flag::interval)) {
    tare::cli::parse_interval(given.text(flag::interval));
  } else if (verb == "update") {
    tare::validate_resources(tare::cli::parse_limits(given), "flags");
  } else if (verb == "exec") {
    static const tare::Spec spec =
        tare::parse_spec(tare::default_spec_json(false, 0, 0), "config.json");
    tare::ProcessSource source;
    const tare::Process process = tare::cli::parse_exec_process(*spec.process, given, source);
    tare::validate_process(process, spec, source);
  } else if (!words.empty()) {
    tare::validate_id(words.front());
  }
}

void read(std::vector<char*>& words) {
  const Arguments global(words, tare::cli::global_flags(), tare::cli::AfterArgument::command);
  read_flags(global, tare::cli::global_flags());
  const auto rest = global.positional();
  fuzz::require(rest.size() <= words.size(), "more arguments than words");
  if (rest.empty()) return;
  const tare::cli::Verb* verb = tare::cli::find_verb(rest.front());
  if (verb == nullptr) return;
  fuzz::require(!tare::cli::help(*verb).empty(), "a verb has no help");
  const Arguments given(rest.subspan(1), verb->flags, verb->after);
  read_flags(given, verb->flags);
  read_verb(verb->name, given);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  // Each word has an allocation of its own, so that a sanitizer detects reads beyond it.
  std::vector<std::vector<char>> memory;
  const std::string text = fuzz::text(data, size);
  for (std::size_t at = 0; at <= text.size();) {
    const std::size_t end = std::min(text.find('\0', at), text.size());
    memory.emplace_back(text.begin() + static_cast<std::ptrdiff_t>(at),
                        text.begin() + static_cast<std::ptrdiff_t>(end));
    memory.back().push_back('\0');
    memory.back().shrink_to_fit();
    at = end + 1;
  }
  std::vector<char*> words;
  for (std::vector<char>& word : memory) {
    words.push_back(word.data());
  }
  try {
    fuzz::accepts([&] { read(words); });
  } catch (const UsageError& error) {
    fuzz::require(!error.what.empty(), "an error is mute");
  }
  return 0;
}

// Names and numbers of signals.
#include <signal.h>
#include <string.h>

#include "parse/parse.h"
#include "tare/error.h"

namespace tare::cli {

namespace {

// SIGRTMIN as C libraries and engines have it: the threads library uses the kernel's 32 and 33.
constexpr int realtime_min = 34;
constexpr int realtime_max = 64;

/// Returns the number of "RTMIN+3", "RTMAX-1", "RTMIN"; 0 if there is no such signal.
int realtime_signal(std::string_view name) {
  const bool from_min = name.starts_with("RTMIN");
  if (!from_min && !name.starts_with("RTMAX")) return 0;
  std::string_view offset_text = name.substr(5);
  std::uint32_t offset = 0;
  if (!offset_text.empty()) {
    if (offset_text.front() != (from_min ? '+' : '-')) return 0;
    offset_text.remove_prefix(1);
    if (!parse_number(offset_text, offset) || offset > realtime_max - realtime_min) return 0;
  }
  const int distance = static_cast<int>(offset);
  return from_min ? realtime_min + distance : realtime_max - distance;
}

int signal_by_name(std::string name) {
  for (char& c : name) {
    if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 'a' + 'A');
  }
  if (name.starts_with("SIG")) name.erase(0, 3);
  for (int number = 1; number < realtime_min; number++) {
    const char* abbreviation = ::sigabbrev_np(number);
    if (abbreviation != nullptr && name == abbreviation) return number;
  }
  // Other names of the same signals, see signal(7).
  if (name == "IOT") return SIGABRT;
  if (name == "CLD") return SIGCHLD;
  if (name == "IO") return SIGIO;
  return realtime_signal(name);
}

}  // namespace

int parse_signal(const std::string& text) {
  std::uint32_t number = 0;
  if (parse_number(text, number) && number <= realtime_max) return static_cast<int>(number);
  const int named = signal_by_name(text);
  if (named == 0) {
    throw Error(ErrorKind::invalid_argument,
                "unknown signal \"" + text +
                    "\": expected a name such as TERM or SIGTERM, or a "
                    "number from 0 to 64");
  }
  return named;
}

}  // namespace tare::cli

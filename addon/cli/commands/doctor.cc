// doctor.
#include "tare/doctor.h"

#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <string>

#include "commands/commands.h"
#include "tare/printable.h"

namespace tare::cli {

namespace {

/// Escape sequences, if standard output is a terminal; see no-color.org.
class Colours {
 public:
  Colours() {
    const char* const refused = std::getenv("NO_COLOR");
    const char* const terminal = std::getenv("TERM");
    wanted_ = ::isatty(STDOUT_FILENO) == 1 && (refused == nullptr || *refused == '\0') &&
              terminal != nullptr && std::string_view(terminal) != "dumb";
  }
  std::string of(const Finding& finding, const std::string& text) const {
    if (!wanted_) return text;
    const char* const code = finding.status == FindingStatus::ok                            ? "32"
                             : finding.required && finding.status == FindingStatus::missing ? "31"
                                                                                            : "33";
    return std::string("\x1b[").append(code).append("m").append(text).append("\x1b[0m");
  }

 private:
  bool wanted_ = false;
};

std::string padded(std::string text, std::size_t width) {
  text.append(text.size() < width ? width - text.size() : 1, ' ');
  return text;
}

std::string status_of(const Finding& finding, const Colours& colours) {
  constexpr std::size_t width = 9;
  return "  " + colours.of(finding, padded(finding_status_name(finding.status), width));
}

/// A further line, indented below the name.
std::string further_line(const std::string& text) {
  constexpr std::size_t margin = 11;
  return std::string(margin, ' ') + printable(text) + "\n";
}

/// One line; if the finding is not ok, also what it is needed for and the remedy.
std::string told(const Finding& finding, std::size_t width, const Colours& colours) {
  const bool is_ok = finding.status == FindingStatus::ok;
  const std::string& about = is_ok && finding.found.empty() ? finding.needed_for : finding.found;
  std::string text =
      status_of(finding, colours) + padded(finding.name, width) + printable(about) + "\n";
  if (is_ok) return text;
  text += further_line((finding.required ? "required for: " : "for: ") + finding.needed_for);
  if (!finding.remedy.empty()) text += further_line("remedy: " + finding.remedy);
  return text;
}

/// The same in two lines: what is wrong, and the remedy.
std::string told_briefly(const Finding& finding, const Colours& colours) {
  return status_of(finding, colours) + printable(finding.name + ": " + finding.found) + " (" +
         (finding.required ? "required for " : "for ") + finding.needed_for + ")\n" +
         further_line("remedy: " + finding.remedy);
}

std::size_t count_not_ok(const Examination& examination) {
  return static_cast<std::size_t>(std::ranges::count_if(
      examination.findings,
      [](const Finding& finding) { return finding.status != FindingStatus::ok; }));
}

std::string conclusion(const Examination& examination) {
  const std::string whose = examination.rootless ? "an ordinary user's" : "root's";
  if (!examination.can_start()) {
    std::string names;
    for (const Finding& finding : examination.findings) {
      if (finding.required && finding.status == FindingStatus::missing) {
        names += (names.empty() ? "" : ", ") + finding.name;
      }
    }
    return "This host cannot start " + whose + " containers; it lacks: " + names + "\n";
  }
  return "This host has what a start of " + whose + " containers needs" +
         (count_not_ok(examination) == 0
              ? ""
              : "; what is missing or limited above matters only to some of them") +
         ".\n";
}

std::string as_text(const Examination& examination) {
  const Colours colours;
  std::size_t width = 0;
  for (const Finding& finding : examination.findings) {
    width = std::max(width, finding.name.size());
  }
  std::string text;
  std::string_view group;
  for (const Finding& finding : examination.findings) {
    if (group != finding.group) {
      text += (text.empty() ? "" : "\n") + std::string(finding.group) + "\n";
      group = finding.group;
    }
    text += told(finding, width + 2, colours);
  }
  return text + "\n" + conclusion(examination);
}

/// Only what is wrong; what prevents all containers from starting comes first.
std::string as_brief_text(const Examination& examination) {
  const Colours colours;
  std::string text;
  for (const bool is_fatal : {true, false}) {
    for (const Finding& finding : examination.findings) {
      const bool stops_all = finding.required && finding.status == FindingStatus::missing;
      if (finding.status == FindingStatus::ok || stops_all != is_fatal) continue;
      text += told_briefly(finding, colours);
    }
  }
  const std::size_t ok = examination.findings.size() - count_not_ok(examination);
  return text + (text.empty() ? "" : "\n") + conclusion(examination) +
         (text.empty() ? "All " : "The other ") + std::to_string(ok) + " findings are ok; " +
         std::string(program_name()) + " doctor --all shows them.\n";
}

}  // namespace

int doctor(const Call& call) {
  const bool json = is_second_choice(call, flag::text_format, "text", "json");
  const Examination examination = examine_host(call.runtime);
  const bool all = call.arguments.is_set(flag::every_finding);
  if (json) {
    print(examination_json(examination) + "\n");
  } else {
    print(all ? as_text(examination) : as_brief_text(examination));
  }
  return examination.can_start() ? 0 : 1;
}

}  // namespace tare::cli

// doctor.
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <string>

#include "commands.h"
#include "tare/doctor.h"

namespace tare::cli {

namespace {

/// Escape sequences of a terminal, for who looks at one; see no-color.org.
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

/// A line, and where something is to be done, what for and how.
std::string told(const Finding& finding, std::size_t width, const Colours& colours) {
  constexpr std::size_t status_width = 9;
  const std::string margin(2 + status_width, ' ');
  std::string text =
      "  " + colours.of(finding, padded(finding_status_name(finding.status), status_width));
  const bool is_ok = finding.status == FindingStatus::ok;
  const std::string& about = is_ok && finding.found.empty() ? finding.needed_for : finding.found;
  text += padded(finding.name, width) + about + "\n";
  if (is_ok) return text;
  text += margin + (finding.required ? "required for: " : "for: ") + finding.needed_for + "\n";
  if (!finding.remedy.empty()) text += margin + "remedy: " + finding.remedy + "\n";
  return text;
}

std::string conclusion(const Examination& examination) {
  const std::string whose = examination.rootless ? "an ordinary user's" : "root's";
  const auto lacks =
      std::count_if(examination.findings.begin(), examination.findings.end(),
                    [](const Finding& finding) { return finding.status != FindingStatus::ok; });
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
         (lacks == 0 ? "" : "; what is not ok above, only some of them need") + ".\n";
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

}  // namespace

int doctor(const Call& call) {
  const bool json = is_second_choice(call, flag::text_format, "text", "json");
  const Examination examination = examine_host(call.runtime);
  print(json ? examination_json(examination) + "\n" : as_text(examination));
  return examination.can_start() ? 0 : 1;
}

}  // namespace tare::cli

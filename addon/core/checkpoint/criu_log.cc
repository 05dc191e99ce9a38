#include "checkpoint/criu_log.h"

#include <fcntl.h>

#include <algorithm>
#include <cstddef>
#include <deque>
#include <optional>
#include <string_view>

#include "tare/error.h"
#include "tare/fd.h"

namespace tare {

std::string criu_errors(const std::string& log) {
  constexpr std::size_t max_errors = 8;
  std::optional<std::string> text;
  try {
    text = read_file_if_exists(AT_FDCWD, log);
  } catch (const Error&) {
    // The failure that the log would explain is the one to report.
  }
  std::deque<std::string_view> errors;
  for (std::string_view rest = text.has_value() ? std::string_view(*text) : std::string_view();
       !rest.empty();) {
    const std::size_t end = std::min(rest.find('\n'), rest.size());
    const std::string_view line = rest.substr(0, end);
    rest.remove_prefix(std::min(end + 1, rest.size()));
    if (line.find("Error ") == std::string_view::npos) {
      continue;
    }
    errors.push_back(line);
    if (errors.size() > max_errors) {
      errors.pop_front();
    }
  }
  std::string result;
  for (const std::string_view line : errors) {
    result.append(result.empty() ? "" : "\n").append(line);
  }
  return result;
}

}  // namespace tare

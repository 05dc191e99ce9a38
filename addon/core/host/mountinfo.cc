#include "host/mountinfo.h"

#include <algorithm>

namespace tare {

namespace {

bool is_octal(char c) { return c >= '0' && c <= '7'; }

std::string unescape(std::string_view text) {
  std::string plain;
  for (std::size_t at = 0; at < text.size(); ++at) {
    const std::string_view digits = text.substr(at + 1, 3);
    if (text[at] == '\\' && digits.size() == 3 && std::ranges::all_of(digits, is_octal)) {
      plain.push_back(
          static_cast<char>((digits[0] - '0') * 64 + (digits[1] - '0') * 8 + (digits[2] - '0')));
      at += 3;
    } else {
      plain.push_back(text[at]);
    }
  }
  return plain;
}

/// Removes a word and the following blank from the front of `line`.
std::string_view take_word(std::string_view& line) {
  const std::size_t end = std::min(line.find(' '), line.size());
  const std::string_view word = line.substr(0, end);
  line.remove_prefix(std::min(end + 1, line.size()));
  return word;
}

}  // namespace

void for_each_mount(std::string_view mountinfo,
                    const std::function<bool(const MountLine&)>& visit) {
  while (!mountinfo.empty()) {
    const std::size_t end = std::min(mountinfo.find('\n'), mountinfo.size());
    std::string_view line = mountinfo.substr(0, end);
    mountinfo.remove_prefix(std::min(end + 1, mountinfo.size()));
    // id parent major:minor root mount-point options [optional …] - type source super-options
    const std::size_t separator = line.find(" - ");
    if (separator == std::string_view::npos) {
      continue;
    }
    std::string_view after = line.substr(separator + 3);
    line = line.substr(0, separator);
    MountLine mount;
    mount.id = take_word(line);
    for (int field = 1; field < 3; ++field) {
      take_word(line);
    }
    mount.root = take_word(line);
    mount.point = unescape(take_word(line));
    mount.type = take_word(after);
    if (!mount.point.empty() && !visit(mount)) {
      return;
    }
  }
}

}  // namespace tare

#include "host/subordinate_ids.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <optional>
#include <string_view>

#include "tare/fd.h"

namespace tare {
namespace {

/// The fields of a line of passwd(5) or subuid(5).
std::vector<std::string_view> fields_of(std::string_view line) {
  std::vector<std::string_view> fields;
  for (std::size_t at = 0; at <= line.size();) {
    const std::size_t end = std::min(line.find(':', at), line.size());
    fields.push_back(line.substr(at, end - at));
    at = end + 1;
  }
  return fields;
}

template <typename Visit>
void for_each_line(const std::string& file, Visit visit) {
  const std::string text = read_file_if_exists(AT_FDCWD, file).value_or("");
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    visit(fields_of(std::string_view(text).substr(at, end - at)));
    at = end + 1;
  }
}

template <typename Number>
std::optional<Number> number(std::string_view text) {
  Number value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && end != text.data() ? std::optional(value) : std::nullopt;
}

template <typename Filter>
std::vector<SubordinateRange> ranges_where(const std::string& file, Filter filter) {
  std::vector<SubordinateRange> ranges;
  for_each_line(file, [&](const std::vector<std::string_view>& fields) {
    if (fields.size() != 3 || !filter(fields[0])) {
      return;
    }
    const auto first = number<std::uint32_t>(fields[1]);
    const auto count = number<std::uint64_t>(fields[2]);
    if (first && count && *count != 0) {
      ranges.push_back({*first, *count});
    }
  });
  return ranges;
}

}  // namespace

std::vector<SubordinateRange> subordinate_ranges(const std::string& file) {
  return ranges_where(file, [](std::string_view /*owner*/) { return true; });
}

std::vector<SubordinateRange> own_subordinate_ranges(const std::string& file,
                                                     const std::string& name) {
  const std::string uid = std::to_string(geteuid());
  return ranges_where(file, [&](std::string_view owner) {
    return !owner.empty() && (owner == name || owner == uid);
  });
}

std::string own_user_name() {
  const std::string uid = std::to_string(geteuid());
  std::string name;
  for_each_line("/etc/passwd", [&](const std::vector<std::string_view>& fields) {
    if (name.empty() && fields.size() > 2 && fields[2] == uid) {
      name = fields[0];
    }
  });
  return name;
}

std::string subordinate_range_remedy(const std::string& file, const std::string& user) {
  return "usermod --add-" + file.substr(file.rfind('/') + 1) + "s 100000-165535 " + user +
         "  (as root; choose a range that no line has in " + file + ")";
}

}  // namespace tare

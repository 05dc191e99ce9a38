#include "json/fields.h"

#include <algorithm>

namespace tare::json {

std::string_view c_string(const Value& value) {
  const std::string_view text = value.as_string();
  if (text.find('\0') != std::string_view::npos) {
    value.fail("contains a NUL character; remove it");
  }
  return text;
}

void check_key(std::string_view key, const Value& value) {
  if (key.find('\0') != std::string_view::npos) {
    value.fail("the name contains a NUL character; remove it");
  }
}

void check_count(const Value& value) {
  if (value.size() > max_entries) {
    value.fail(std::to_string(value.size()) + " entries; the limit is " +
               std::to_string(max_entries));
  }
}

bool is_other_case(std::string_view one, std::string_view other) noexcept {
  const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; };
  return one.size() == other.size() &&
         std::equal(one.begin(), one.end(), other.begin(),
                    [&](char a, char b) { return lower(a) == lower(b); });
}

void fail_unknown(const Value& value, std::string_view what,
                  const std::vector<std::string_view>& known) {
  Writer quoted;
  quoted.string(value.as_string());
  std::string message = "unknown " + std::string(what) + " " + quoted.take() + "; use one of ";
  for (std::size_t i = 0; i < known.size(); ++i) {
    message.append(i == 0 ? "" : ", ").append(known[i]);
  }
  value.fail(message);
}

void read(std::vector<std::pair<std::string, std::string>>& target, const Value& value) {
  check_count(value);
  target.reserve(value.size());
  value.for_each_member([&target](std::string_view key, const Value& member) {
    check_key(key, member);
    target.emplace_back(key, c_string(member));
  });
}

void read(std::map<std::string, std::string>& target, const Value& value) {
  value.for_each_member([&target](std::string_view key, const Value& member) {
    check_key(key, member);
    target.emplace(key, c_string(member));
  });
}

}  // namespace tare::json

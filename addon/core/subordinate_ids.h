// The ranges of ids that subuid(5) and subgid(5) give to users.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace tare {

constexpr const char* subuid_file = "/etc/subuid";
constexpr const char* subgid_file = "/etc/subgid";

struct SubordinateRange {
  std::uint32_t first = 0;
  std::uint64_t count = 0;
};

/// All ranges of `file`, of any user. An absent file has none.
std::vector<SubordinateRange> subordinate_ranges(const std::string& file);
/// Those of the caller, by its uid or by `name`.
std::vector<SubordinateRange> own_subordinate_ranges(const std::string& file,
                                                     const std::string& name);
/// The caller's name in /etc/passwd; empty where it is elsewhere or nowhere.
std::string own_user_name();
/// How an administrator gives `user` a range of `file`.
std::string subordinate_range_remedy(const std::string& file, const std::string& user);

}  // namespace tare

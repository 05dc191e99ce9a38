// The id ranges assigned to users by subuid(5) and subgid(5).
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

/// Returns all ranges of `file`, of any user. An absent file has none.
std::vector<SubordinateRange> subordinate_ranges(const std::string& file);
/// Returns the caller's ranges, by its uid or by `name`.
std::vector<SubordinateRange> own_subordinate_ranges(const std::string& file,
                                                     const std::string& name);
/// Returns the caller's name in /etc/passwd; empty if it is not listed there.
std::string own_user_name();
/// Returns the administrator's command that assigns `user` a range of `file`.
std::string subordinate_range_remedy(const std::string& file, const std::string& user);

}  // namespace tare

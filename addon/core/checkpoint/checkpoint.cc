#include "tare/checkpoint.h"

#include <utility>

namespace tare {

std::optional<CgroupsMode> cgroups_mode(std::string_view word) noexcept {
  for (const auto& [name, mode] :
       {std::pair{"soft", CgroupsMode::soft}, std::pair{"full", CgroupsMode::full},
        std::pair{"strict", CgroupsMode::strict}, std::pair{"ignore", CgroupsMode::ignore}}) {
    if (word == name) {
      return mode;
    }
  }
  return std::nullopt;
}

}  // namespace tare

#include <tare_commit.h>

#include "commands/commands.h"

namespace tare::cli {

namespace {

// quick_start.cc is linked only where cmake/quick_start.cmake found that it works.
#ifdef TARE_ORDINARY_START
constexpr std::string_view startup = "ordinary";
#else
constexpr std::string_view startup = "quick";
#endif

}  // namespace

std::string version(std::string_view name) {
  return std::string(name) + " version " TARE_VERSION "\ncommit: " TARE_COMMIT "\n" +
         version_details() + "start: " + std::string(startup) + "\n";
}

}  // namespace tare::cli

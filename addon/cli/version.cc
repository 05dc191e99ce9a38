#include <tare_commit.h>

#include "commands/commands.h"

namespace tare::cli {

std::string version(std::string_view name) {
  return std::string(name) + " version " TARE_VERSION "\ncommit: " TARE_COMMIT "\n" +
         version_details();
}

}  // namespace tare::cli

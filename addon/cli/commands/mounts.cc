// mounts.
#include <fcntl.h>

#include "commands/commands.h"
#include "tare/error.h"
#include "tare/fd.h"

namespace tare::cli {

int mounts(const Call& call) {
  const std::string_view action = call.arguments.positional()[0];
  const std::string file = call.arguments.positional()[2];
  const bool adds = action == "add";
  if (!adds && action != "remove") {
    throw Error(ErrorKind::invalid_argument,
                "mounts: unknown command \"" + std::string(action) + "\"; use add or remove");
  }
  const std::string text = read_file(AT_FDCWD, file);
  Container container = Container::open(call.runtime, call.arguments.positional()[1]);
  if (adds) {
    container.add_mounts(text, file);
  } else {
    container.remove_mounts(text, file);
  }
  return 0;
}

}  // namespace tare::cli

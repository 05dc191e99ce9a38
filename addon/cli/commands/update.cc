// update.
#include <fcntl.h>
#include <unistd.h>

#include "commands/commands.h"
#include "parse/parse.h"
#include "tare/error.h"
#include "tare/spec.h"

namespace tare::cli {

int update(const Call& call) {
  const Arguments& given = call.arguments;
  std::string name = "flags";
  Resources resources;
  if (given.given(flag::resources)) {
    const std::string file = given.text(flag::resources);
    if (const Flag* other = find_limit(given)) {
      throw Error(
          ErrorKind::invalid_argument,
          "--resources " + file + " describes the whole change: leave out --" + other->name);
    }
    name = file == "-" ? "standard input" : file;
    resources = parse_resources(
        file == "-" ? read_all(STDIN_FILENO, name) : read_file(AT_FDCWD, file), name);
  } else {
    resources = parse_limits(given);
  }
  Container container = Container::open(call.runtime, call.id());
  // This comes first, so that what the host cannot do is refused before anything is changed.
  container.update_rdt(given.text(flag::l3_cache_schema), given.text(flag::mem_bw_schema));
  container.update(resources, name);
  return 0;
}

}  // namespace tare::cli

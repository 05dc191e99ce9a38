// Groups of a resctrl tree, for test/cgroup/resctrl.test.ts: the tree is an argument, since few
// processors have a real one.
//
//   resctrl create ROOT ID CONFIG        prints what is recorded before the group is made, and
//                                        what is forgotten
//   resctrl add ROOT ID CONFIG PID
//   resctrl write ROOT ID CONFIG SCHEMA
//   resctrl stats ROOT ID CONFIG         prints what `events` reports
//   resctrl remove DIRECTORY
#include "host/resctrl/resctrl.h"

#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <exception>
#include <string_view>

#include "json/json.h"
#include "tare/error.h"
#include "tare/fd.h"

namespace {

using tare::RdtGroup;

int run(int argc, char** argv) {
  const std::string_view verb = argc > 1 ? argv[1] : "";
  if (verb == "remove" && argc == 3) {
    tare::remove_rdt_directory(argv[2]);
    return 0;
  }
  if (argc < 5) {
    return 2;
  }
  const tare::Spec spec = tare::parse_spec(tare::read_file(AT_FDCWD, argv[4]), "config.json");
  const tare::IntelRdt& config = spec.linux_.intel_rdt.value();
  if (verb == "create") {
    const auto note = [](const std::string& path) {
      std::printf("%s%s\n", path.c_str(), access(path.c_str(), F_OK) == 0 ? " is there" : "");
    };
    RdtGroup::create(argv[2], config, argv[3], {note, [] { std::puts("not made"); }});
    return 0;
  }
  const RdtGroup group = RdtGroup::open(argv[2], config, argv[3]);
  if (verb == "add" && argc == 6) {
    group.add(std::atoi(argv[5]));
  } else if (verb == "write" && argc == 6) {
    group.write_schema(argv[5], "--l3-cache-schema");
  } else if (verb == "stats") {
    tare::json::Writer writer;
    group.write_stats(writer);
    std::puts(writer.take().c_str());
  } else {
    return 2;
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return run(argc, argv);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}

// update.
#include <fcntl.h>
#include <unistd.h>

#include <array>

#include "commands.h"
#include "given.h"
#include "tare/error.h"
#include "tare/spec.h"

namespace tare::cli {

namespace {

constexpr std::array limit_flags = {
    &flag::blkio_weight,   &flag::cpu_period,    &flag::cpu_quota,
    &flag::cpu_burst,      &flag::cpu_share,     &flag::cpu_rt_period,
    &flag::cpu_rt_runtime, &flag::cpuset_cpus,   &flag::cpuset_mems,
    &flag::cpu_idle,       &flag::memory,        &flag::memory_reservation,
    &flag::memory_swap,    &flag::kernel_memory, &flag::kernel_memory_tcp,
    &flag::pids_limit};

}  // namespace

int update(const Call& call) {
  const Arguments& given = call.arguments;
  std::string name = "flags";
  Resources resources;
  if (given.given(flag::resources)) {
    const std::string file = given.text(flag::resources);
    for (const Flag* other : limit_flags) {
      if (given.given(*other)) {
        throw Error(
            ErrorKind::invalid_argument,
            "--resources " + file + " describes the whole change: leave out --" + other->name);
      }
    }
    name = file == "-" ? "standard input" : file;
    resources = parse_resources(
        file == "-" ? read_all(STDIN_FILENO, name) : read_file(AT_FDCWD, file), name);
  } else {
    resources = resources_by_flags(given);
  }
  Container container = Container::open(call.runtime, call.id());
  // This comes first, so that what the host cannot do is refused before anything is changed.
  container.update_rdt(given.text(flag::l3_cache_schema), given.text(flag::mem_bw_schema));
  container.update(resources, name);
  return 0;
}

}  // namespace tare::cli

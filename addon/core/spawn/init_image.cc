#include "spawn/init_image.h"

#include <linux/capability.h>
#include <sched.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <string_view>

#include "spawn/spawn.h"
#include "tare/unix_socket.h"

extern "C" const char tare_init_image_start[] __attribute__((visibility("hidden")));
extern "C" const char tare_init_image_end[] __attribute__((visibility("hidden")));

namespace tare {

bool joins(const Plan& plan, std::uint64_t type) {
  return std::ranges::any_of(plan.joins(),
                             [type](const Join& join) { return (join.type & type) != 0; });
}

bool makes_user_namespace(const Plan& plan) { return (plan.clone_flags() & CLONE_NEWUSER) != 0; }

namespace {

/// Whether the program can have CAP_SYS_PTRACE, with which it could trace the reaper.
bool may_trace_reaper(const Plan& plan) {
  constexpr std::uint64_t tracing = std::uint64_t{1} << CAP_SYS_PTRACE;
  return plan.has_reaper() && std::ranges::any_of(plan.ops(), [](const wire::Op& op) {
           return (op.code == wire::OpCode::bounding_set && (op.a & tracing) != 0) ||
                  (op.code == wire::OpCode::capabilities && (op.b & tracing) != 0);
         });
}

/// Whether other processes may see init and have all capabilities in its user namespace. In a
/// joined namespace, its own processes may; in a new one, any process with uid 0 in the host's user
/// namespace, including one in a container without a user namespace of its own. For an ordinary
/// user, only the user's own processes have them.
bool may_be_traced(const Plan& plan) {
  return geteuid() == 0 &&
         (joins(plan, CLONE_NEWUSER) ||
          (makes_user_namespace(plan) && (joins(plan, CLONE_NEWPID) || may_trace_reaper(plan))));
}

/// A program file that its process may not read makes the process undumpable from execve(2) on, and
/// its memory belongs to the user namespace in which the file's owner is mapped. Root of another
/// user namespace has no rights there. Root on the host can read the file nevertheless.
void make_unreadable(const Fd& program) {
  if (fchmod(program.get(), 0100) < 0) {
    throw_errno("fchmod", "memfd");
  }
}

// One memfd for all containers of a program, with the plan sent over the channel, saves the copy of
// init for each: 2 to 4.5 % of a run().
std::atomic<bool> keeps_image = false;

std::string_view image_bytes() {
  return {tare_init_image_start,
          static_cast<std::size_t>(tare_init_image_end - tare_init_image_start)};
}

/// Sealed, so that no process that executes it can change what others execute.
int kept_image() {
  // Never destroyed: threads may need it while the process ends.
  static const Fd* const image = new Fd(sealed_memfd("tare-init", {{0, image_bytes()}}));
  return image->get();
}

/// Returns false where the plan is larger than the socket takes at once.
bool send_ahead(const Fd& channel, std::string_view plan) {
  return send_message(channel.get(), plan, {}, MSG_DONTWAIT) == 0;
}

}  // namespace

void keep_init_image() noexcept { keeps_image = true; }

InitImage make_init_image(const Plan& plan, const Fd& channel) {
  const std::string bytes = plan.bytes();
  InitImage program;
  program.plan_size = bytes.size();
  const bool traced = may_be_traced(plan);
  if (keeps_image && !traced && send_ahead(channel, bytes)) {
    program.image = kept_image();
    return program;
  }
  const std::string_view image = image_bytes();
  const auto page = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
  program.plan_offset = (image.size() + page - 1) / page * page;
  program.memfd = sealed_memfd("tare-init", {{0, image}, {program.plan_offset, bytes}});
  program.image = program.memfd.get();
  if (traced) {
    make_unreadable(program.memfd);
  }
  return program;
}

}  // namespace tare

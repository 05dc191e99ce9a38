// The last steps before a process enters a pid namespace that other processes already use. It gives
// up every capability, descriptor and memory mapping that those processes lack, and then continues
// as a child in the namespace.
#include <asm/ioctls.h>
#include <asm/unistd.h>
#include <linux/capability.h>
#include <linux/prctl.h>
#include <linux/sched.h>

#include <algorithm>
#include <vector>

#include "plan/builder.h"
#include "seccomp/evaluate.h"

namespace tare {

using wire::OpCode;

namespace {

constexpr std::uint64_t loading = std::uint64_t{1} << CAP_SYS_ADMIN;

/// Whether init has a capability that the process does not get, in order to load the filter.
bool has_more(const PlanBuilder& builder, const Process& process) {
  const Capabilities capabilities = process.capabilities.value_or(Capabilities{});
  return !builder.host().seccomp.program.empty() && !process.no_new_privileges &&
         (capabilities.permitted & capabilities.effective & loading) == 0;
}

/// Returns the system calls that init makes under the filter: see do_fork_into_pidns() of
/// program_ops.cc.
std::vector<KnownCall> calls_afterwards(bool drops, bool terminal, bool waits) {
  std::vector<KnownCall> calls = {{__NR_clone, {CLONE_PARENT, 0, 0, 0, 0}},
                                  {__NR_exit_group, {0}},
                                  {__NR_setsid, {}},
                                  {__NR_sendto, {}},
                                  {__NR_execve, {}}};
  if (drops) {
    calls.push_back({__NR_capset, {}});
    calls.push_back({__NR_prctl, {PR_CAP_AMBIENT}});
  }
  if (terminal) {
    calls.push_back({__NR_ioctl, {0, TIOCSCTTY, 0}});
  }
  if (waits) {
    calls.push_back({__NR_recvfrom, {}});
    calls.push_back({__NR_read, {}});
  }
  return calls;
}

}  // namespace

bool add_fork_into_pidns(PlanBuilder& builder, const Process& process, bool waits) {
  const bool is_last = is_scheduled_last(builder, process);
  const bool drops = has_more(builder, process);
  const std::string& filter = builder.host().seccomp.program;
  // A filter that permits init's remaining calls is loaded before other processes can see init. One
  // with a listener is not: the agent is told the pid of the process, which does not exist yet.
  const auto is_let_through = [&](const KnownCall& call) { return lets_through(filter, call); };
  const bool is_filtered =
      !filter.empty() && !has_listener(builder) &&
      std::ranges::all_of(calls_afterwards(drops, process.terminal, waits || is_last),
                          is_let_through);
  if (is_filtered) {
    add_seccomp(builder, false);
    if (drops) {
      add_capabilities(builder, process, 0);
    }
  }
  builder.add(OpCode::fork_into_pidns).a = process.terminal ? 1 : 0;
  if (is_last) {
    builder.wait(wire::WaitTag::scheduling);
  }
  return is_filtered;
}

}  // namespace tare

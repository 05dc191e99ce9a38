#include <linux/mempolicy.h>
#include <linux/sched.h>

#include <bit>
#include <cstdint>
#include <limits>
#include <utility>

#include "validate/sections.h"

namespace tare {

namespace {

std::string list_message(const std::string& list) {
  return "invalid list of processors " + quoted(list) +
         "; write it like \"0-3,7\", with numbers below " + std::to_string(processor_limit);
}

/// Requirements of SCHED_DEADLINE, sched(7). The bounds of its period are sysctls of the host, and
/// so not checked here.
void check_deadline(const Scheduler& scheduler, const std::string& section, Problems& problems) {
  constexpr std::uint64_t min_time = 1024;
  // The kernel accepts 63 bits; its EINVAL would not tell which of the three is too large.
  constexpr std::uint64_t max_time = std::numeric_limits<std::int64_t>::max();
  const std::pair<const char*, std::uint64_t> times[] = {{"runtime", scheduler.runtime},
                                                         {"deadline", scheduler.deadline},
                                                         {"period", scheduler.period}};
  for (const auto& [name, value] : times) {
    if (value > max_time) {
      problems.add(section + name, std::to_string(value) + " ns; the kernel's limit is " +
                                       std::to_string(max_time));
    }
  }
  if (scheduler.runtime < min_time) {
    problems.add(section + "runtime",
                 std::to_string(scheduler.runtime) + " ns; the min for SCHED_DEADLINE is 1024");
  }
  if (scheduler.deadline == 0) {
    problems.add(section + "deadline", "is missing; SCHED_DEADLINE needs one, in ns");
  } else if (scheduler.deadline < scheduler.runtime) {
    problems.add(section + "deadline", std::to_string(scheduler.deadline) +
                                           " ns is less than the runtime of " +
                                           std::to_string(scheduler.runtime));
  }
  if (scheduler.period != 0 && scheduler.period < scheduler.deadline) {
    problems.add(section + "period", std::to_string(scheduler.period) +
                                         " ns is less than the deadline of " +
                                         std::to_string(scheduler.deadline));
  }
}

void check_scheduler(const Scheduler& scheduler, const std::string& section, Problems& problems) {
  const std::string policy = scheduling_policy_name(scheduler.policy);
  const bool real_time = scheduler.policy == SCHED_FIFO || scheduler.policy == SCHED_RR;
  if (scheduler.policy == Scheduler::sched_iso) {
    problems.add_unsupported(section + "policy",
                             "no kernel implements SCHED_ISO; use another policy");
  }
  if (scheduler.nice < -20 || scheduler.nice > 19) {
    problems.add(section + "nice",
                 std::to_string(scheduler.nice) + " is not in the range -20 to 19");
  }
  if (real_time && (scheduler.priority < 1 || scheduler.priority > 99)) {
    problems.add(section + "priority",
                 std::to_string(scheduler.priority) + " is not in the range 1 to 99 of " + policy);
  } else if (!real_time && scheduler.priority != 0) {
    problems.add(section + "priority",
                 "can only be specified for SCHED_FIFO or SCHED_RR, not for " + policy);
  }
  if (scheduler.policy == SCHED_DEADLINE) {
    check_deadline(scheduler, section, problems);
    return;
  }
  const std::pair<const char*, std::uint64_t> times[] = {{"runtime", scheduler.runtime},
                                                         {"deadline", scheduler.deadline},
                                                         {"period", scheduler.period}};
  for (const auto& [name, value] : times) {
    if (value != 0) {
      problems.add(section + name, "can only be specified for SCHED_DEADLINE, not for " + policy);
    }
  }
}

std::size_t count_numbers(const std::string& mask) {
  std::size_t count = 0;
  for (const char byte : mask) {
    count += static_cast<std::size_t>(std::popcount(static_cast<unsigned char>(byte)));
  }
  return count;
}

}  // namespace

/// set_mempolicy(2). Some messages use runc's wording, which its users search for.
void check_memory_policy(const MemoryPolicy& policy, Problems& problems) {
  const std::string section = "linux.memoryPolicy.";
  const std::string mode = memory_mode_name(policy.mode);
  std::string mask;
  if (!policy.nodes.empty()) {
    const std::optional<std::string> read = number_mask(policy.nodes, memory_node_limit);
    if (!read) {
      problems.add(section + "nodes", "invalid memory policy nodes: " + quoted(policy.nodes) +
                                          "; write a list such as \"0-3,7\", with numbers below " +
                                          std::to_string(memory_node_limit));
      return;
    }
    mask = *read;
  }
  const bool without = policy.mode == MPOL_DEFAULT || policy.mode == MPOL_LOCAL;
  if (without && !mask.empty()) {
    problems.add(section + "nodes", "memory policy mode requires 0 nodes but got " +
                                        std::to_string(count_numbers(mask)) +
                                        "; leave nodes out for " + mode);
  } else if (!without && policy.mode != MPOL_PREFERRED && mask.empty()) {
    problems.add(section + "nodes", "memory policy mode requires at least one node but got 0; " +
                                        mode + " needs nodes");
  }
  const std::uint32_t both = MPOL_F_STATIC_NODES | MPOL_F_RELATIVE_NODES;
  if ((policy.flags & both) == both) {
    problems.add(section + "flags",
                 "MPOL_F_STATIC_NODES and MPOL_F_RELATIVE_NODES cannot be combined; keep one");
  } else if ((policy.flags & both) != 0 && mask.empty() && policy.mode != MPOL_DEFAULT) {
    problems.add(
        section + "flags",
        "MPOL_F_STATIC_NODES and MPOL_F_RELATIVE_NODES need nodes, which are missing; name them");
  }
  if ((policy.flags & MPOL_F_NUMA_BALANCING) != 0 && policy.mode != MPOL_BIND &&
      policy.mode != MPOL_PREFERRED_MANY) {
    problems.add(
        section + "flags",
        "MPOL_F_NUMA_BALANCING can only be used with MPOL_BIND and MPOL_PREFERRED_MANY, not with " +
            mode);
  }
}

/// The offsets of a time namespace must be set before it contains a process.
void check_time_offsets(const Spec& spec, Problems& problems) {
  constexpr std::uint32_t second = 1000000000;
  const Namespace* time = spec.find_namespace(NamespaceType::time);
  const std::vector<TimeOffset>& offsets = spec.linux_.time_offsets;
  if (!offsets.empty() && time == nullptr) {
    problems.add(
        "linux.timeOffsets",
        "time namespace offsets specified, but time namespace isn't enabled in the config; "
        "add {\"type\": \"time\"} to linux.namespaces, or remove the offsets");
  } else if (!offsets.empty() && !time->path.empty()) {
    problems.add("linux.timeOffsets",
                 "time namespace enabled, but both namespace path and time offsets specified; the "
                 "offsets of " +
                     quoted(time->path) + " cannot be changed, remove them");
  }
  for (const TimeOffset& offset : offsets) {
    if (offset.nanosecs >= second) {
      problems.add("linux.timeOffsets." + offset.clock + ".nanosecs",
                   std::to_string(offset.nanosecs) + " is a second or more; use secs");
    }
  }
}

void check_scheduling(const Process& process, const std::string& prefix, Problems& problems) {
  if (process.scheduler) {
    check_scheduler(*process.scheduler, prefix + "scheduler.", problems);
  }
  if (process.io_priority &&
      (process.io_priority->priority < 0 || process.io_priority->priority > 7)) {
    problems.add(prefix + "ioPriority.priority",
                 std::to_string(process.io_priority->priority) + " is not in the range 0 to 7");
  }
  const std::pair<const char*, const std::string*> lists[] = {
      {"initial", &process.exec_cpu_affinity.initial},
      {"final", &process.exec_cpu_affinity.final_}};
  for (const auto& [name, list] : lists) {
    if (!list->empty() && !number_mask(*list, processor_limit)) {
      problems.add(prefix + "execCPUAffinity." + name, list_message(*list));
    }
  }
}

}  // namespace tare

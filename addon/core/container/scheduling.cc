// The host's part of process.scheduler, process.ioPriority and process.execCPUAffinity.
#include <linux/ioprio.h>
#include <linux/sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

#include "container/impl.h"
#include "tare/error.h"

namespace tare {
namespace {

/// The kernel's struct sched_attr, whose header conflicts with some C libraries' sched.h.
struct SchedulingAttributes {
  std::uint32_t size = sizeof(SchedulingAttributes);
  std::uint32_t policy = 0;
  std::uint64_t flags = 0;
  std::int32_t nice = 0;
  std::uint32_t priority = 0;
  std::uint64_t runtime = 0;
  std::uint64_t deadline = 0;
  std::uint64_t period = 0;
  std::uint32_t utilization_min = 0;
  std::uint32_t utilization_max = 0;
};
static_assert(sizeof(SchedulingAttributes) == 56);

// In bytes. A kernel with fewer processors uses as much of the mask as it needs.
constexpr std::size_t mask_size = processor_limit / 8;

long set_affinity(pid_t thread, std::string_view mask) {
  return syscall(SYS_sched_setaffinity, thread, mask.size(), mask.data());
}

std::string scheduler_remedy(const Scheduler& scheduler, int errnum, bool has_cpuset) {
  const bool deadline = scheduler.policy == SCHED_DEADLINE;
  if (errnum == EPERM && deadline && has_cpuset) {
    return "process scheduler can't be used together with AllowedCPUs: SCHED_DEADLINE needs every "
           "processor of the host in linux.resources.cpu.cpus";
  }
  if (errnum == EPERM &&
      (deadline || scheduler.policy == SCHED_FIFO || scheduler.policy == SCHED_RR)) {
    const std::string words = std::string(scheduling_policy_name(scheduler.policy)) +
                              " needs CAP_SYS_NICE in the host's user namespace";
    return deadline ? words + ", and a cgroup with every processor of the host"
                    : words + ", and is unavailable in cgroup v2 with CONFIG_RT_GROUP_SCHED";
  }
  if (errnum == EPERM || errnum == EACCES) {
    return "a nice value below the caller's, and leaving SCHED_IDLE, need CAP_SYS_NICE";
  }
  if (errnum == EBUSY && deadline) {
    return "the processors do not have enough time left for SCHED_DEADLINE; lower runtime, or see "
           "the sysctl kernel.sched_rt_runtime_us";
  }
  if (errnum == EINVAL && deadline) {
    return "the period must lie within the sysctls kernel.sched_deadline_period_min_us and _max_us";
  }
  if (errnum == EOPNOTSUPP) {
    return "the kernel has no SCHED_FLAG_UTIL_CLAMP_MIN and _MAX (CONFIG_UCLAMP_TASK)";
  }
  return {};
}

[[noreturn]] void fail(const ProcessSource& source, const char* field, int errnum,
                       const char* syscall, const std::string& remedy) {
  throw Error(ErrorKind::system, source.path(field) + ": " + syscall + ": " + errno_text(errnum) +
                                     (remedy.empty() ? "" : "; " + remedy))
      .with_errno(errnum, syscall)
      .with_path(field);
}

void set_scheduler(pid_t pid, const Scheduler& scheduler, const ProcessSource& source,
                   bool has_cpuset) {
  SchedulingAttributes attributes;
  attributes.policy = static_cast<std::uint32_t>(scheduler.policy);
  attributes.flags = scheduler.flags;
  attributes.nice = scheduler.nice;
  attributes.priority = static_cast<std::uint32_t>(scheduler.priority);
  attributes.runtime = scheduler.runtime;
  attributes.deadline = scheduler.deadline;
  attributes.period = scheduler.period;
  if (syscall(SYS_sched_setattr, pid, &attributes, 0) < 0) {
    const int error = errno;
    fail(source, "scheduler", error, "sched_setattr",
         scheduler_remedy(scheduler, error, has_cpuset));
  }
}

/// Sets the I/O priority of one process: init has made a session, so its process group has no other
/// member, and its children inherit the priority.
void set_io_priority(pid_t pid, const IoPriority& priority, const ProcessSource& source) {
  constexpr int of_process = 1;  // IOPRIO_WHO_PROCESS
  const int value = priority.io_class << IOPRIO_CLASS_SHIFT | priority.priority;
  if (syscall(SYS_ioprio_set, of_process, pid, value) < 0) {
    const int error = errno;
    fail(source, "ioPriority", error, "ioprio_set",
         error == EPERM ? "IOPRIO_CLASS_RT needs CAP_SYS_NICE or CAP_SYS_ADMIN in the host's user "
                          "namespace"
                        : "");
  }
}

}  // namespace

void set_scheduling(InitProcess& init, const Plan& plan, const Process& process,
                    const ProcessSource& source, bool has_cpuset) {
  if (!has_wait(plan, wire::WaitTag::scheduling)) {
    return;
  }
  init.await(wire::WaitTag::scheduling);
  if (process.scheduler.has_value()) {
    set_scheduler(init.pid(), *process.scheduler, source, has_cpuset);
  }
  if (process.io_priority.has_value()) {
    set_io_priority(init.pid(), *process.io_priority, source);
  }
  init.answer(wire::WaitTag::scheduling);
}

void reset_affinity(pid_t pid) {
  // Ignores EPERM: an ordinary user's container, whose process already runs as another user.
  set_affinity(pid, std::string(mask_size, '\xff'));
}

namespace {

/// Returns the calling thread's affinity in the kernel's format.
std::string affinity_mask() {
  std::string mask(mask_size, '\0');
  const long size = syscall(SYS_sched_getaffinity, 0, mask.size(), mask.data());
  if (size < 0) {
    throw_errno("sched_getaffinity");
  }
  mask.resize(static_cast<std::size_t>(size));
  return mask;
}

}  // namespace

std::string ThreadAffinity::now() {
  const std::string digits = mask_digits(affinity_mask());
  return "0x" + digits.substr(digits.starts_with('0') ? 1 : 0);
}

ThreadAffinity::ThreadAffinity(const std::string& processors, const std::string& path) {
  if (processors.empty()) {
    return;
  }
  before_ = affinity_mask();
  if (set_affinity(0, *number_mask(processors, processor_limit)) < 0) {
    const int error = errno;
    throw Error(ErrorKind::system, path + ": " + processors +
                                       ": sched_setaffinity: " + errno_text(error) +
                                       (error == EINVAL ? "; none of these processors is online "
                                                          "and in the caller's cgroup"
                                                        : ""))
        .with_errno(error, "sched_setaffinity")
        .with_path("execCPUAffinity.initial");
  }
}

ThreadAffinity::~ThreadAffinity() {
  if (!before_.empty()) {
    set_affinity(0, before_);
  }
}

}  // namespace tare

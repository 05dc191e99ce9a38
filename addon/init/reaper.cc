// The reaper: pid 1 of a container whose program is an ordinary process, its child.
//
// Until the child executes its program, both share their memory, which saves a copy. The child has
// its own stack, and the reaper calls nothing that writes to memory that the child uses.
#include <linux/capability.h>
#include <linux/prctl.h>
#include <linux/resource.h>
#include <linux/sched.h>
#include <linux/signal.h>
#include <linux/time_types.h>
#include <linux/wait.h>

#include "init.h"

namespace init {
namespace {

using namespace tare::wire;

constexpr std::uint64_t all_signals = ~std::uint64_t{0};

alignas(16) unsigned char child_stack[16384];

// What the child gets from the reaper, whose stack it may not read: the reaper goes on meanwhile.
struct Child {
  Context* context = nullptr;
  const Op* op = nullptr;  // the op become_reaper
};

Child child;

void continue_as_child(void* subject) {
  const auto& own = *static_cast<const Child*>(subject);
  Context& context = *own.context;
  const Outcome outcome = lead_session(*own.op);
  if (outcome.failed()) {
    end_with_failure(context, own.op, outcome);
  }
  execute_from(context, own.op + 1);
}

// Closes all fds but the eventfd: the program's output ends only when no other process holds it,
// and the host reads the channel's end as "the program runs". Then keeps only `capabilities`.
void drop_fds_and_capabilities(int kept, std::uint64_t capabilities) {
  if (kept > 0) {
    sys::call(__NR_close_range, 0, kept - 1, 0);
  }
  sys::call(__NR_close_range, kept + 1, ~0U, 0);
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct data[2] = {};
  for (int half = 0; half < 2; ++half) {
    data[half].permitted = data[half].effective =
        static_cast<std::uint32_t>(capabilities >> (32 * half));
  }
  sys::call(__NR_capset, &header, data);
}

// Signals from outside of the pid namespace are meant for the program: their si_pid is 0 here. A
// process in the container could forge that (rt_sigqueueinfo(2)), but pid 1 may signal no process
// that the forger may not.
void forward(long program_pid, const siginfo_t& signal) {
  if (signal.si_code > 0 || signal.si_pid != 0) {
    return;
  }
  const bool carries = signal.si_code == SI_QUEUE && (signal.si_int & ~0xff) == carried_signal;
  sys::call(__NR_kill, program_pid, carries ? signal.si_int & 0xff : signal.si_signo);
}

std::int64_t monotonic_ns() {
  __kernel_timespec now{};
  sys::call(__NR_clock_gettime, CLOCK_MONOTONIC, &now);
  return now.tv_sec * 1'000'000'000LL + now.tv_nsec;
}

// Reaps until the program and all processes that remain after it have ended. After a second,
// processes that the reaper may not signal are left to the kernel, which kills them with the
// namespace. A process that keeps sending signals to pid 1 does not extend that
// second.
int reap_all(long program_pid) {
  constexpr std::int64_t second_ns = 1'000'000'000;
  std::int64_t deadline = 0;
  bool ended = false;
  bool killed = false;
  int status = 0;
  for (;;) {
    long pid = 0;
    int its_status = 0;
    while ((pid = sys::call(__NR_wait4, -1, &its_status, WNOHANG, 0L)) > 0) {
      if (pid == program_pid) {
        ended = true;
        status = its_status;
      }
    }
    if (ended && (pid == -ECHILD || (!killed && sys::call(__NR_kill, -1, SIGKILL) < 0))) {
      return status;
    }
    if (ended && !killed) {
      deadline = monotonic_ns() + second_ns;
    }
    killed = ended;
    const std::int64_t left = ended ? deadline - monotonic_ns() : 0;
    if (ended && left <= 0) {
      return status;
    }
    const __kernel_timespec timeout{left / second_ns, left % second_ns};
    siginfo_t signal;
    const long number = sys::call(__NR_rt_sigtimedwait, &all_signals, &signal,
                                  ended ? &timeout : nullptr, sizeof all_signals);
    if (number > 0 && !ended) {
      forward(program_pid, signal);
    } else if (number == -EAGAIN) {
      return status;
    }
  }
}

[[noreturn]] void end_as(int status, int eventfd) {
  constexpr int children = -1;  // RUSAGE_CHILDREN
  rusage used{};
  sys::call(__NR_getrusage, children, &used);
  Ending ending;
  ending.status = static_cast<std::uint32_t>(status);
  ending.max_rss = static_cast<std::uint64_t>(used.ru_maxrss);
  const std::uint64_t word = pack(ending);
  sys::write(eventfd, &word, sizeof word);
  const int signal = status & 0x7f;
  sys::exit(signal == 0 ? status >> 8 & 0xff : 128 + signal);
}

}  // namespace

Outcome do_become_reaper(Context& context, const Op& op) {
  // Set before the child exists: processes that it forks later must not be able to trace this one.
  if (const long result = sys::call(__NR_prctl, PR_SET_DUMPABLE, 0, 0, 0, 0); result < 0) {
    return failure(result, Step::prctl);
  }
  child = {&context, &op};
  clone_args arguments{};
  arguments.flags = CLONE_VM;
  arguments.exit_signal = SIGCHLD;
  arguments.stack = reinterpret_cast<std::uint64_t>(child_stack);
  arguments.stack_size = sizeof child_stack;
  const long pid = sys::clone_onto_stack(arguments, continue_as_child, &child);
  if (pid < 0) {
    return failure(pid, Step::clone3);
  }
  // Blocked signals stay pending until rt_sigtimedwait(2), even those that pid 1 would ignore. The
  // host sends none before the channel is closed.
  sys::call(__NR_rt_sigprocmask, SIG_SETMASK, &all_signals, 0L, sizeof all_signals);
  const int eventfd = context.passed(op.fd);
  drop_fds_and_capabilities(eventfd, op.b);
  end_as(reap_all(pid), eventfd);
}

}  // namespace init

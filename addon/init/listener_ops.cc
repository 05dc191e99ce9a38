// Loads a seccomp filter, and hands the listener of a filter that asks an agent to the host.
//
// A filter applies from its own system call on and may ask about any later one, while the agent
// does not have the listener yet. So a second thread without the filter hands the listener over and
// sends the host the remaining reports; meanwhile the first thread makes no system call at all.
#include <linux/filter.h>
#include <linux/futex.h>
#include <linux/sched.h>
#include <linux/seccomp.h>

#include "init.h"

namespace init {
namespace {

using tare::wire::OpCode;

enum Stage : int { unused, parked, loading, loaded, finished };

// State shared by the two threads.
struct Handover {
  int stage = unused;
  Context* context = nullptr;
  const Op* op = nullptr;  // the seccomp op
  int listener = -1;       // or -errno
  Outcome outcome;
};

Handover handover;
alignas(16) unsigned char thread_stack[16384];

int stage() { return __atomic_load_n(&handover.stage, __ATOMIC_ACQUIRE); }
void set_stage(int stage) { __atomic_store_n(&handover.stage, stage, __ATOMIC_RELEASE); }

[[noreturn]] void end_thread() {
  for (;;) {
    sys::call(__NR_exit, 0);
  }
}

void hand_over(void* /*subject*/) {
  while (stage() == parked) {
    sys::call(__NR_futex, &handover.stage, FUTEX_WAIT_PRIVATE, parked, 0L);
  }
  // From here on the first thread can make no system call to wake this one.
  while (stage() == loading) {
    sys::call(__NR_sched_yield);
  }
  if (handover.listener < 0) {
    end_thread();
  }
  Context& context = *handover.context;
  Outcome outcome = send_listener(context, *handover.op, handover.listener);
  // Once no process has the listener any more, system calls that the filter asks about fail with
  // ENOSYS.
  sys::call(__NR_close, handover.listener);
  if (!outcome.failed()) {
    const Op& next = handover.op[1];
    outcome = next.code == OpCode::start_gate ? detach_from_host(context, next)
                                              : do_announce(context, next);
  }
  handover.outcome = outcome;
  set_stage(finished);
  end_thread();
}

long load_filter(Context& context, const Op& op) {
  sock_fprog program{};
  program.len = static_cast<unsigned short>(op.n / sizeof(sock_filter));
  program.filter =
      const_cast<sock_filter*>(reinterpret_cast<const sock_filter*>(context.text(op, 0)));
  return sys::call(__NR_seccomp, SECCOMP_SET_MODE_FILTER, op.a, &program);
}

void relax() {
#if defined(__x86_64__)
  __asm__ volatile("pause");
#else
  __asm__ volatile("yield");
#endif
}

}  // namespace

Outcome do_listener_thread(Context& context, const Op& /*op*/) {
  handover.context = &context;
  set_stage(parked);
  clone_args arguments{};
  arguments.flags = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD;
  arguments.stack = reinterpret_cast<std::uint64_t>(thread_stack);
  arguments.stack_size = sizeof thread_stack;
  return check(sys::clone_onto_stack(arguments, hand_over, nullptr), Step::clone3);
}

Outcome do_seccomp(Context& context, const Op& op) {
  if ((op.a & SECCOMP_FILTER_FLAG_NEW_LISTENER) == 0) {
    return check(load_filter(context, op), Step::seccomp);
  }
  handover.op = &op;
  set_stage(loading);
  sys::call(__NR_futex, &handover.stage, FUTEX_WAKE_PRIVATE, 1);
  const long listener = load_filter(context, op);
  handover.listener = static_cast<int>(listener);
  set_stage(loaded);
  if (listener < 0) {
    return failure(listener, Step::seccomp);
  }
  while (stage() != finished) {
    relax();
  }
  context.listener_thread_reported = true;
  return handover.outcome;
}

}  // namespace init

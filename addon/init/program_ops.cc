// The last ops: they find the program, pass the start gate, fork where that is asked for, and
// execute the program.
#include <asm/ioctls.h>
#include <linux/prctl.h>
#include <linux/sched.h>
#include <linux/signal.h>
#include <linux/stat.h>

#include "init.h"

namespace init {

using namespace tare::wire;

namespace {

constexpr int x_ok = 1;
constexpr int at_eaccess = 0x200;

// Returns 0 for a file that may be executed, else -errno.
long check_program(const char* path) {
  struct statx status{};
  const long result = sys::call(__NR_statx, AT_FDCWD, path, 0, STATX_TYPE | STATX_MODE, &status);
  if (result < 0) {
    return result;
  }
  if ((status.stx_mode & S_IFMT) == S_IFDIR) {
    return -EISDIR;
  }
  const long access = sys::call(__NR_faccessat2, AT_FDCWD, path, x_ok, at_eaccess);
  return access == -ENOSYS ? 0 : access;
}

// Whether the search through $PATH continues after this result, as in execvp(3).
bool search_continues(long result) {
  switch (result) {
    case -ENOENT:
    case -ENOTDIR:
    case -EISDIR:
    case -EACCES:
    case -EPERM:
    case -ELOOP:
    case -ENAMETOOLONG:
    case -ENODEV:
    case -ESTALE:
    case -ETIMEDOUT:
      return true;
    default:
      return false;
  }
}

bool join(char* out, const char* directory, std::size_t directory_size, const char* name) {
  const std::size_t name_size = sys::length(name);
  if (directory_size + name_size + 2 > path_max) {
    return false;
  }
  memcpy(out, directory, directory_size);
  out[directory_size] = '/';
  memcpy(out + directory_size + 1, name, name_size + 1);
  return true;
}

}  // namespace

Outcome do_find_program(Context& context, const Op& op) {
  const char* name = context.text(op, 0);
  bool has_slash = false;
  for (const char* at = name; *at != '\0'; ++at) {
    has_slash = has_slash || *at == '/';
  }
  if (has_slash) {
    if (sys::length(name) + 1 > sizeof context.program) {
      return {ENAMETOOLONG, Step::stat};
    }
    memcpy(context.program, name, sys::length(name) + 1);
    const long result = check_program(name);
    if (result == -ENOENT && op.a != 0) {
      // The path may lead through "/proc/self", which does not resolve for a process outside of
      // that pid namespace.
      context.missing_program = &op;
      return ok;
    }
    return check(result, Step::stat);
  }
  const char* at = context.text(op, 1);
  while (*at != '\0') {
    const char* end = at;
    while (*end != '\0' && *end != ':') {
      ++end;
    }
    // An empty element would mean the working directory; it is not searched.
    if (end != at && join(context.program, at, static_cast<std::size_t>(end - at), name)) {
      const long result = check_program(context.program);
      if (result == 0) {
        return ok;
      }
      if (!search_continues(result)) {
        return failure(result, Step::stat);
      }
    }
    at = *end == ':' ? end + 1 : end;
  }
  return {ENOENT, Step::access};
}

namespace {

// The layout that rt_sigaction(2) takes.
struct SignalAction {
  void (*handler)(int) = nullptr;
  unsigned long flags = 0;
  void (*restorer)() = nullptr;
  std::uint64_t mask = 0;
};

void set_action(int number, const SignalAction& action) {
  sys::call(__NR_rt_sigaction, number, &action, 0L, sizeof action.mask);
}

void end_by_signal(int number) { sys::exit(128 + number); }

// Pid 1 of a pid namespace gets no signal that it does not handle, except SIGKILL. With these
// handlers the usual signals end a container that is created but not started. The program's
// execve(2) resets them.
void exit_on_termination_signals() {
  SignalAction action;
  action.handler = end_by_signal;
#ifdef __x86_64__
  action.flags = 0x04000000;  // SA_RESTORER: required even for handlers that do not return
  action.restorer = [] {};
#endif
  constexpr int asking[] = {SIGHUP, SIGINT, SIGQUIT, SIGTERM};
  for (const int number : asking) {
    set_action(number, action);
  }
}

}  // namespace

// Signals that the caller ignored would stay ignored across execve(2); clone has cleared its
// handlers.
Outcome do_default_signals(Context& /*context*/, const Op& /*op*/) {
  for (int number = 1; number <= 64; ++number) {
    if (number != SIGKILL && number != SIGSTOP) {
      set_action(number, {});
    }
  }
  return ok;
}

// A change of credentials clears PR_SET_PDEATHSIG, so this comes after all of them. A host that has
// died before that sends no signal any more.
Outcome do_end_with_host(Context& context, const Op& /*op*/) {
  if (const long result = sys::call(__NR_prctl, PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0); result < 0) {
    return failure(result, Step::prctl);
  }
  end_without_host(context);
  return ok;
}

Outcome detach_from_host(Context& context, const Op& op) {
  exit_on_termination_signals();
  if (const Outcome outcome = do_announce(context, op); outcome.failed()) {
    return outcome;
  }
  if (const long result = sys::call(__NR_dup3, context.passed(op.fd), context.base, O_CLOEXEC);
      result < 0) {
    return failure(result, Step::dup);
  }
  const int channel = context.channel;
  context.channel = -1;
  sys::call(__NR_close_range, context.base + 2, ~0U, 0);
  // The host reads the channel's end as "the container is created".
  sys::call(__NR_close, channel);
  return ok;
}

Outcome do_start_gate(Context& context, const Op& op) {
  if (!context.listener_thread_reported) {
    if (const Outcome outcome = detach_from_host(context, op); outcome.failed()) {
      return outcome;
    }
  }
  // From here on failures, this write's included, are reported to the process that reads the FIFO.
  context.answer = context.base;
  return check(sys::write(context.base, &gate_passed, sizeof gate_passed), Step::write);
}

// From here on processes of the container can trace the child, so it has no right, no descriptor
// and no memory that they could want. A seccomp filter may be loaded, against which
// plan/fork_into_pidns.cc has checked each of these calls. No process in the container can stop the
// parent or forge its reports, so the parent reports the child's pid: it is in the host's pid
// namespace and so gets the host's numbers.
Outcome do_fork_into_pidns(Context& context, const Op& op) {
  const long child = sys::call(__NR_clone, CLONE_PARENT, 0L, 0L, 0L, 0L);
  if (child < 0) {
    return failure(child, Step::clone);
  }
  if (child > 0) {
    const Outcome reported = report_child(context, op, child);
    if (reported.failed()) {
      return reported;  // the host kills both processes
    }
    sys::exit(0);
  }
  return lead_session(op);
}

Outcome lead_session(const Op& op) {
  if (const long result = sys::call(__NR_setsid); result < 0) {
    return failure(result, Step::setsid);
  }
  return op.a == 0 ? ok : check(sys::call(__NR_ioctl, 0, TIOCSCTTY, 0), Step::ioctl);
}

// Makes no system call but execve(2): a filter that is loaded by now need allow no other.
Outcome do_exec(Context& context, const Op& op) {
  const bool add_home = (op.flags & op_add_home) != 0;
  const char** vector = reinterpret_cast<const char**>(const_cast<char*>(context.strings + op.b));
  const char** argv = vector;
  for (int list = 0; list < 2; ++list) {
    const char* text = context.text(op, list);
    const std::uint64_t entries = list == 0 ? op.n : op.a;
    for (std::uint64_t i = 0; i < entries; ++i) {
      *vector++ = text;
      text += sys::length(text) + 1;
    }
    if (list == 1 && add_home) {
      *vector++ = context.home;
    }
    *vector++ = nullptr;
  }
  const long result = sys::call(__NR_execve, context.program, argv, argv + op.n + 1);
  return failure(
      result, result == -ENOENT && context.missing_program != nullptr ? Step::stat : Step::execve);
}

}  // namespace init

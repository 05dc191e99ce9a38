// Ops on the process itself: identity, capabilities, limits, file descriptors, signals, and finally
// the program.
#include <asm/ioctls.h>
#include <linux/capability.h>
#include <linux/magic.h>
#include <linux/openat2.h>
#include <linux/prctl.h>
#include <linux/sched.h>
#include <linux/signal.h>

#include "file_status.h"
#include "init.h"

namespace init {
namespace {

using namespace tare::wire;

constexpr int x_ok = 1;
constexpr int at_eaccess = 0x200;

// Opens a file of the private procfs for writing. Follows no symlinks but procfs's own "self", and
// crosses no mounts.
long open_proc_file(const Context& context, const char* path) {
  const long fd = openat2(context.proc, path, O_WRONLY | O_NOFOLLOW,
                          RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_XDEV);
  if (fd >= 0 && file_system_magic(static_cast<int>(fd)) != PROC_SUPER_MAGIC) {
    sys::run(__NR_close, fd);
    return -ENODEV;
  }
  return fd;
}

Outcome write_proc_file(Context& context, const char* path, const char* value, std::uint32_t size,
                        bool optional) {
  Handle file(open_proc_file(context, path));
  if (!file.valid()) {
    if (optional && file.get() == -ENOENT) {
      return ok;
    }
    return failure(file.get(), Step::open);
  }
  return check(sys::write(file.get(), value, size), Step::write);
}

}  // namespace

Outcome do_sysctl(Context& context, const Op& op) {
  static char path[path_max];
  const char* name = context.text(op, 0);
  constexpr char prefix[] = "sys/";
  const std::size_t size = sys::length(name);
  if (size + sizeof prefix > sizeof path) {
    return {0, Step::too_long};
  }
  memcpy(path, prefix, sizeof prefix - 1);
  memcpy(path + sizeof prefix - 1, name, size + 1);
  return write_proc_file(context, path, context.text(op, 1), op.n, false);
}

Outcome do_proc_write(Context& context, const Op& op) {
  return write_proc_file(context, context.text(op, 0), context.text(op, 1), op.n,
                         (op.flags & op_optional) != 0);
}

Outcome do_rlimit(const Op& op) {
  const std::uint64_t limit[2] = {op.b, op.c};
  return check(sys::run(__NR_prlimit64, 0, op.a, limit, 0L), Step::prlimit);
}

Outcome do_working_directory(Context& context, const Op& op) {
  if (context.in_working_directory) {
    return ok;
  }
  const long entered = sys::run(__NR_chdir, context.text(op, 0));
  if (entered == -EACCES && (op.flags & op_optional) != 0) {
    return ok;
  }
  if (entered < 0) {
    return failure(entered, Step::chdir);
  }
  // getcwd(2) returns "(unreachable)…" for a directory outside the root.
  static char path[path_max];
  const long result = sys::run(__NR_getcwd, path, sizeof path);
  if (result < 0) {
    return failure(result, Step::getcwd);
  }
  context.in_working_directory = true;
  return path[0] == '/' ? ok : Outcome{0, Step::path_escapes};
}

// Closes what init has opened itself now, not only at execve(2): a program or a working directory
// named "/proc/self/fd/N/.." would lead out through a directory of the host. Passed fds stay open
// as long as they are needed (the FIFO): none of them is a directory outside the root. The plan is
// mapped, so its fd can go.
Outcome do_close_fds(const Context& context, const Op& op) {
  constexpr int close_range_cloexec = 4;
  if (op.a != 0) {
    const int kept = op.fd >= 0 ? context.passed(op.fd) : context.channel;
    sys::run(__NR_close, context.base);
    if (kept > context.channel + 1) {
      sys::run(__NR_close_range, context.channel + 1, kept - 1, 0);
    }
    if (const long result = sys::run(__NR_close_range, kept + 1, ~0U, 0); result < 0) {
      return failure(result, Step::close_range);
    }
    return check(sys::run(__NR_close_range, context.channel, kept, close_range_cloexec),
                 Step::close_range);
  }
  const int opened = context.passed(static_cast<int>(context.plan->passed_fds));
  if (const long result = sys::run(__NR_close_range, opened, ~0U, 0); result < 0) {
    return failure(result, Step::close_range);
  }
  return check(sys::run(__NR_close_range, context.base, ~0U, close_range_cloexec),
               Step::close_range);
}

Outcome do_bounding_set(const Op& op) {
  for (int capability = 0; capability < 64; ++capability) {
    if ((op.a >> capability & 1) != 0) {
      continue;
    }
    const long result = sys::run(__NR_prctl, PR_CAPBSET_DROP, capability, 0, 0, 0);
    if (result == -EINVAL && capability > CAP_LAST_CAP) {
      break;  // beyond the last one that this kernel knows
    }
    if (result < 0) {
      return failure(result, Step::prctl);
    }
  }
  return ok;
}

namespace {

// A user other than root could not open /dev/stdout if that is a pipe or a terminal owned by root.
void give_standard_streams(std::uint64_t uid) {
  for (int fd = 0; fd < 3; ++fd) {
    FileStatus status;
    if (stat_fd(fd, status) < 0 || status.uid == uid || is_null_device(status)) {
      continue;
    }
    // An owner that cannot be changed stays: EPERM, EROFS, or EINVAL for an owner without a
    // mapping.
    sys::run(__NR_fchown, fd, uid, -1);
  }
}

}  // namespace

Outcome do_identity(Context& context, const Op& op) {
  if (op.a != 0) {
    give_standard_streams(op.a);
  }
  if ((op.flags & op_no_setgroups) == 0) {
    const long result = sys::run(__NR_setgroups, op.n, context.text(op, 0));
    if (result < 0) {
      return failure(result, Step::setgroups);
    }
  }
  if (const long result = sys::run(__NR_setresgid, op.b, op.b, op.b); result < 0) {
    return failure(result, Step::setgid);
  }
  return check(sys::run(__NR_setresuid, op.a, op.a, op.a), Step::setuid);
}

Outcome do_capabilities(const Op& op) {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct data[2] = {};
  for (int half = 0; half < 2; ++half) {
    data[half].effective = static_cast<std::uint32_t>(op.a >> (32 * half));
    data[half].permitted = static_cast<std::uint32_t>(op.b >> (32 * half));
    data[half].inheritable = static_cast<std::uint32_t>(op.c >> (32 * half));
  }
  if (const long result = sys::run(__NR_capset, &header, data); result < 0) {
    return failure(result, Step::capset);
  }
  // spawn has raised all ambient capabilities if a user namespace is entered.
  if (const long result = sys::run(__NR_prctl, PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
      result < 0) {
    return failure(result, Step::prctl);
  }
  for (int capability = 0; capability < 64 && (op.d >> capability) != 0; ++capability) {
    if ((op.d >> capability & 1) == 0) {
      continue;
    }
    const long result =
        sys::run(__NR_prctl, PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, capability, 0, 0);
    if (result < 0) {
      return failure(result, Step::prctl);
    }
  }
  return ok;
}

namespace {

// Returns 0 for a file that may be executed, else -errno.
long check_program(const char* path) {
  struct statx status{};
  const long result = sys::run(__NR_statx, AT_FDCWD, path, 0, STATX_TYPE | STATX_MODE, &status);
  if (result < 0) {
    return result;
  }
  if ((status.stx_mode & S_IFMT) == S_IFDIR) {
    return -EISDIR;
  }
  const long access = sys::run(__NR_faccessat2, AT_FDCWD, path, x_ok, at_eaccess);
  return access == -ENOSYS ? 0 : access;
}

// Whether the search through $PATH continues after this result, as in execvp(3).
bool is_elsewhere(long result) {
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

Outcome do_find_program(Context& context, std::uint32_t index, const Op& op) {
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
      context.missing = index;
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
      if (!is_elsewhere(result)) {
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
  sys::run(__NR_rt_sigaction, number, &action, 0L, sizeof action.mask);
}

void end_by_signal(int number) { sys::exit(128 + number); }

// Pid 1 of a pid namespace gets no signal that it does not handle, except SIGKILL. With these
// handlers the usual signals end a container that is created but not started. The program's
// execve(2) resets them.
void end_when_asked() {
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
void do_default_signals() {
  for (int number = 1; number <= 64; ++number) {
    if (number != SIGKILL && number != SIGSTOP) {
      set_action(number, {});
    }
  }
}

// A change of credentials clears PR_SET_PDEATHSIG, so this comes after all of them. A host that has
// died before that sends no signal any more.
Outcome do_end_with_host(const Context& context) {
  if (const long result = sys::run(__NR_prctl, PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0); result < 0) {
    return failure(result, Step::prctl);
  }
  end_without_host(context);
  return ok;
}

Outcome take_leave(Context& context, std::uint32_t index, const Op& op) {
  end_when_asked();
  if (const Outcome outcome = announce(context, index); outcome.failed()) {
    return outcome;
  }
  if (const long result = sys::run(__NR_dup3, context.passed(op.fd), context.base, O_CLOEXEC);
      result < 0) {
    return failure(result, Step::dup);
  }
  const int channel = context.channel;
  context.channel = -1;
  sys::run(__NR_close_range, context.base + 2, ~0U, 0);
  // The host reads the channel's end as "the container is created".
  sys::run(__NR_close, channel);
  return ok;
}

Outcome do_start_gate(Context& context, std::uint32_t index, const Op& op) {
  if (!context.took_leave) {
    if (const Outcome outcome = take_leave(context, index, op); outcome.failed()) {
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
Outcome do_appear(const Context& context, std::uint32_t index, const Op& op) {
  const long child = sys::run(__NR_clone, CLONE_PARENT, 0L, 0L, 0L, 0L);
  if (child < 0) {
    return failure(child, Step::clone);
  }
  if (child > 0) {
    const Outcome told = tell_of_child(context, index, child);
    if (told.failed()) {
      return told;  // the host kills both processes
    }
    sys::exit(0);
  }
  return lead_session(op);
}

Outcome lead_session(const Op& op) {
  if (const long result = sys::run(__NR_setsid); result < 0) {
    return failure(result, Step::setsid);
  }
  return op.a == 0 ? ok : check(sys::run(__NR_ioctl, 0, TIOCSCTTY, 0), Step::ioctl);
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
  const long result = sys::run(__NR_execve, context.program, argv, argv + op.n + 1);
  return failure(result, result == -ENOENT && context.missing != 0 ? Step::stat : Step::execve);
}

}  // namespace init

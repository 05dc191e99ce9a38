// Ops on the process itself: names, sysctls, identity, capabilities, limits, file descriptors.
#include <linux/capability.h>
#include <linux/magic.h>
#include <linux/openat2.h>
#include <linux/prctl.h>

#include "file_status.h"
#include "init.h"

namespace init {
namespace {

using namespace tare::wire;

// Opens a file of the private procfs for writing. Follows no symlinks but procfs's own "self", and
// crosses no mounts.
long open_proc_file(const Context& context, const char* path) {
  const long fd = openat2(context.proc, path, O_WRONLY | O_NOFOLLOW,
                          RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_XDEV);
  if (fd >= 0 && file_system_magic(static_cast<int>(fd)) != PROC_SUPER_MAGIC) {
    sys::call(__NR_close, fd);
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

Outcome do_hostname(Context& context, const Op& op) {
  return check(sys::call(__NR_sethostname, context.text(op, 0), op.n), Step::sethostname);
}

Outcome do_domainname(Context& context, const Op& op) {
  return check(sys::call(__NR_setdomainname, context.text(op, 0), op.n), Step::setdomainname);
}

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

Outcome do_rlimit(Context& /*context*/, const Op& op) {
  const std::uint64_t limit[2] = {op.b, op.c};
  return check(sys::call(__NR_prlimit64, 0, op.a, limit, 0L), Step::prlimit);
}

Outcome do_cpu_affinity(Context& context, const Op& op) {
  return check(sys::call(__NR_sched_setaffinity, 0, op.n, context.text(op, 0)),
               Step::sched_setaffinity);
}

Outcome do_personality(Context& /*context*/, const Op& op) {
  return check(sys::call(__NR_personality, op.a), Step::personality);
}

Outcome do_memory_policy(Context& context, const Op& op) {
  // One more than the number of bits: the kernel subtracts one, see set_mempolicy(2).
  return check(sys::call(__NR_set_mempolicy, op.a, op.n == 0 ? nullptr : context.text(op, 0),
                         op.n == 0 ? 0UL : op.n * 8UL + 1),
               Step::set_mempolicy);
}

Outcome do_umask(Context& /*context*/, const Op& op) {
  sys::call(__NR_umask, op.a);
  return ok;
}

Outcome do_working_directory(Context& context, const Op& op) {
  if (context.in_working_directory) {
    return ok;
  }
  const long entered = sys::call(__NR_chdir, context.text(op, 0));
  if (entered == -EACCES && (op.flags & op_optional) != 0) {
    return ok;
  }
  if (entered < 0) {
    return failure(entered, Step::chdir);
  }
  // getcwd(2) returns "(unreachable)…" for a directory outside the root.
  static char path[path_max];
  const long result = sys::call(__NR_getcwd, path, sizeof path);
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
Outcome do_close_fds(Context& context, const Op& op) {
  constexpr int close_range_cloexec = 4;
  if (op.a != 0) {
    const int kept = op.fd >= 0 ? context.passed(op.fd) : context.channel;
    sys::call(__NR_close, context.base);
    if (kept > context.channel + 1) {
      sys::call(__NR_close_range, context.channel + 1, kept - 1, 0);
    }
    if (const long result = sys::call(__NR_close_range, kept + 1, ~0U, 0); result < 0) {
      return failure(result, Step::close_range);
    }
    return check(sys::call(__NR_close_range, context.channel, kept, close_range_cloexec),
                 Step::close_range);
  }
  const int opened = context.passed(static_cast<int>(context.plan->passed_fds));
  if (const long result = sys::call(__NR_close_range, opened, ~0U, 0); result < 0) {
    return failure(result, Step::close_range);
  }
  return check(sys::call(__NR_close_range, context.base, ~0U, close_range_cloexec),
               Step::close_range);
}

Outcome do_undumpable(Context& /*context*/, const Op& /*op*/) {
  return check(sys::call(__NR_prctl, PR_SET_DUMPABLE, 0, 0, 0, 0), Step::prctl);
}

Outcome do_no_new_privileges(Context& /*context*/, const Op& /*op*/) {
  return check(sys::call(__NR_prctl, PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), Step::prctl);
}

Outcome do_keep_caps(Context& /*context*/, const Op& /*op*/) {
  return check(sys::call(__NR_prctl, PR_SET_KEEPCAPS, 1, 0, 0, 0), Step::prctl);
}

Outcome do_bounding_set(Context& /*context*/, const Op& op) {
  for (int capability = 0; capability < 64; ++capability) {
    if ((op.a >> capability & 1) != 0) {
      continue;
    }
    const long result = sys::call(__NR_prctl, PR_CAPBSET_DROP, capability, 0, 0, 0);
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
void chown_standard_streams(std::uint64_t uid) {
  for (int fd = 0; fd < 3; ++fd) {
    FileStatus status;
    if (stat_fd(fd, status) < 0 || status.uid == uid || is_null_device(status)) {
      continue;
    }
    // An owner that cannot be changed stays: EPERM, EROFS, or EINVAL for an owner without a
    // mapping.
    sys::call(__NR_fchown, fd, uid, -1);
  }
}

}  // namespace

Outcome do_identity(Context& context, const Op& op) {
  if (op.a != 0) {
    chown_standard_streams(op.a);
  }
  if ((op.flags & op_no_setgroups) == 0) {
    const long result = sys::call(__NR_setgroups, op.n, context.text(op, 0));
    if (result < 0) {
      return failure(result, Step::setgroups);
    }
  }
  if (const long result = sys::call(__NR_setresgid, op.b, op.b, op.b); result < 0) {
    return failure(result, Step::setgid);
  }
  return check(sys::call(__NR_setresuid, op.a, op.a, op.a), Step::setuid);
}

Outcome do_capabilities(Context& /*context*/, const Op& op) {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct data[2] = {};
  for (int half = 0; half < 2; ++half) {
    data[half].effective = static_cast<std::uint32_t>(op.a >> (32 * half));
    data[half].permitted = static_cast<std::uint32_t>(op.b >> (32 * half));
    data[half].inheritable = static_cast<std::uint32_t>(op.c >> (32 * half));
  }
  if (const long result = sys::call(__NR_capset, &header, data); result < 0) {
    return failure(result, Step::capset);
  }
  // spawn has raised all ambient capabilities if a user namespace is entered.
  if (const long result = sys::call(__NR_prctl, PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
      result < 0) {
    return failure(result, Step::prctl);
  }
  for (int capability = 0; capability < 64 && (op.d >> capability) != 0; ++capability) {
    if ((op.d >> capability & 1) == 0) {
      continue;
    }
    const long result =
        sys::call(__NR_prctl, PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, capability, 0, 0);
    if (result < 0) {
      return failure(result, Step::prctl);
    }
  }
  return ok;
}

}  // namespace init

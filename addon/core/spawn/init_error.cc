// Builds the message for a failure of init. init reports only an op and an errno.
#include <linux/mount.h>
#include <sched.h>
#include <sys/statvfs.h>

#include <algorithm>
#include <cerrno>

#include "host/remedies.h"
#include "spawn/remedy.h"
#include "spawn/spawn.h"

namespace tare {
namespace {

using wire::OpCode;
using wire::Step;

/// Engines tell exit status 127 from 126 by this wording, that of Go's exec.LookPath.
Error program_error(const std::string& program, int errnum, Step step) {
  const std::string quoted = "exec: \"" + program + "\": ";
  if (step == Step::access) {
    return Error(ErrorKind::command_not_found, quoted + "executable file not found in $PATH")
        .with_errno(errnum, "faccessat2")
        .with_path(program);
  }
  if (errnum == ENOENT || errnum == ENOTDIR) {
    return Error(ErrorKind::command_not_found,
                 quoted + "stat " + program + ": " +
                     (errnum == ENOENT ? "no such file or directory" : "not a directory"))
        .with_errno(errnum, "statx")
        .with_path(program);
  }
  if (errnum == EISDIR) {
    return Error(ErrorKind::command_not_executable, quoted + "is a directory: permission denied")
        .with_errno(errnum, "statx")
        .with_path(program);
  }
  if (errnum == EACCES || errnum == EPERM) {
    return Error(
               ErrorKind::command_not_executable,
               quoted +
                   "permission denied: the file is not executable for the container's user, or its "
                   "mount is noexec")
        .with_errno(errnum, step_name(step))
        .with_path(program);
  }
  return Error(ErrorKind::command_not_executable, quoted + errno_text(errnum))
      .with_errno(errnum, step_name(step))
      .with_path(program);
}

Error exec_error(const std::string& program, int errnum) {
  const std::string quoted = "exec " + program + ": ";
  if (errnum == ENOEXEC) {
    return Error(ErrorKind::command_not_executable,
                 quoted +
                     "exec format error: it is neither a program for this machine nor a script "
                     "with a #! line")
        .with_errno(errnum, "execve")
        .with_path(program);
  }
  if (errnum == ENOENT) {
    return Error(ErrorKind::command_not_found, quoted +
                                                   "no such file or directory: its interpreter (#! "
                                                   "line or dynamic linker) does not exist in the "
                                                   "container")
        .with_errno(errnum, "execve")
        .with_path(program);
  }
  return program_error(program, errnum, Step::execve);
}

std::string reason(int errnum, Step step) {
  const std::string_view check = check_reason(step);
  return check.empty() ? std::string(step_name(step)) + ": " + errno_text(errnum)
                       : std::string(check);
}

bool is_in_user_namespace(const Plan& plan) {
  return (plan.clone_flags() & CLONE_NEWUSER) != 0 ||
         std::ranges::any_of(plan.joins(),
                             [](const Join& join) { return (join.type & CLONE_NEWUSER) != 0; });
}

/// Returns the locked flags of a bind mount's source that the options would clear, and those
/// options. Restricted to flags that the source's mount has, if it has any of them.
std::string locked_flags(const Plan& plan, const wire::Op& op) {
  struct Lockable {
    std::uint64_t attribute;
    unsigned long flag;  // of statvfs(3)
    const char* name;
    const char* option;
  };
  constexpr Lockable table[] = {{MOUNT_ATTR_RDONLY, ST_RDONLY, "ro", "rw"},
                                {MOUNT_ATTR_NOSUID, ST_NOSUID, "nosuid", "suid"},
                                {MOUNT_ATTR_NODEV, ST_NODEV, "nodev", "dev"},
                                {MOUNT_ATTR_NOEXEC, ST_NOEXEC, "noexec", "exec"},
                                {MOUNT_ATTR_NODIRATIME, ST_NODIRATIME, "nodiratime", "diratime"}};
  struct statvfs source{};
  const bool known = statvfs(plan.text(op.str[0]), &source) == 0;
  const std::uint64_t cleared = op.b | op.e;
  std::string all;
  std::string set;
  std::string all_options;
  std::string set_options;
  const auto append = [](std::string& list, const std::string& word) {
    list += (list.empty() ? "" : ", ") + word;
  };
  for (const Lockable& row : table) {
    if ((cleared & row.attribute) == 0) {
      continue;
    }
    append(all, row.name);
    append(all_options, row.option);
    if (known && (source.f_flag & row.flag) != 0) {
      append(set, row.name);
      append(set_options, row.option);
    }
  }
  if (set.empty() && (cleared & MOUNT_ATTR__ATIME) != 0) {
    append(all, "atime");
    append(all_options, "the option about access times");
  }
  const std::string& names = set.empty() ? all : set;
  return names + " of the source's mount " + (names.find(',') == std::string::npos ? "is" : "are") +
         " locked there; leave out " + (set.empty() ? all_options : set_options);
}

/// Returns the remedy for a failure that depends on what the op mounts; empty if none is known.
std::string mount_remedy(const Plan& plan, const wire::Op& op, int errnum, Step step) {
  if (op.code == OpCode::bind_device &&
      (step == Step::not_a_device || (step == Step::open_tree && errnum == ENOENT))) {
    return device_remedy();
  }
  if ((op.code == OpCode::bind || op.code == OpCode::open_source) &&
      (step == Step::open_tree || step == Step::open_source)) {
    return source_remedy(op.flags, errnum);
  }
  if (op.code == OpCode::bind && step == Step::mount_setattr &&
      ((op.a | op.d) & MOUNT_ATTR_IDMAP) != 0) {
    return id_mapping_remedy(errnum);
  }
  if (op.code == OpCode::bind && step == Step::mount_setattr && errnum == EPERM &&
      is_in_user_namespace(plan)) {
    return "; " + errno_words(errnum) + " in a user namespace: " + locked_flags(plan, op);
  }
  if (op.code == OpCode::mount_fs && errnum == EPERM &&
      std::string_view(plan.text(op.str[0])) == "sysfs" && is_in_user_namespace(plan) &&
      (plan.clone_flags() & CLONE_NEWNET) == 0) {
    return "; a user namespace's root may mount sysfs only in a network namespace of its own: add "
           "{\"type\": \"network\"} to linux.namespaces, or bind /sys of the host instead";
  }
  if ((op.flags & wire::op_make_target) != 0 && errnum == EACCES &&
      (step == Step::openat2 || step == Step::mkdir) && is_in_user_namespace(plan)) {
    return "; the mount point does not exist, and the container's root may not create it in a "
           "directory that it does not own: create it, or map the owner of the root filesystem";
  }
  if (op.code == OpCode::bind && step == Step::move_mount && errnum == EINVAL) {
    return "; a directory can be mounted on a directory only, and a file on a file";
  }
  return {};
}

/// A remedy that depends on the op and the errno alone.
struct Remedy {
  OpCode op;
  int errnum;
  const char* text;
};

constexpr Remedy remedies[] = {
    {OpCode::root, ENOENT, "; root.path in config.json must name a directory"},
    {OpCode::working_directory, ENOENT, "; the directory does not exist in the container"},
    {OpCode::proc_write, ENOENT,
     "; is the security module enabled in this kernel, and the profile loaded?"},
    {OpCode::rlimit, EPERM, "; raising a hard limit needs CAP_SYS_RESOURCE"},
    {OpCode::time_offsets, ERANGE,
     "; a clock of the container would be below 0 or beyond 146 years"},
    {OpCode::personality, EINVAL, "; the kernel runs no 32-bit programs on this processor"},
    {OpCode::memory_policy, EINVAL,
     "; the nodes must be online and in the container's cgroup, and the kernel must know the mode "
     "and flags"},
    {OpCode::memory_policy, ENOSYS, "; the kernel is built without CONFIG_NUMA"},
    {OpCode::unshare, EINVAL, "; the kernel has no such namespaces"},
    {OpCode::cpu_affinity, EINVAL,
     "; none of these processors is online and in the container's cgroup"},
    {OpCode::fork_into_pidns, EAGAIN,
     "; linux.resources.pids.limit or the user's RLIMIT_NPROC leaves no room for two processes "
     "more, one of which ends at once"},
    {OpCode::become_reaper, EAGAIN,
     "; linux.resources.pids.limit or RLIMIT_NPROC leaves no room for a program beside its reaper"},
    {OpCode::identity, EINVAL, "; the id has no mapping in the container's user namespace"},
};

/// Returns the remedy; empty if none is known.
std::string remedy(const Plan& plan, const wire::Op& op, int errnum, Step step) {
  if (std::string text = mount_remedy(plan, op, errnum, step); !text.empty()) {
    return text;
  }
  if (step == Step::fsopen && errnum == ENODEV) {
    return "; the kernel has no such file system: check the mount's type, or load its module";
  }
  if (op.code == OpCode::proc_write && errnum == EINVAL &&
      std::string_view(plan.text(op.origin)) == "process.selinuxLabel") {
    return "; does the SELinux policy that is loaded know this label?";
  }
  for (const Remedy& row : remedies) {
    if (row.op == op.code && row.errnum == errnum) {
      return row.text;
    }
  }
  // If AppArmor restricts user namespaces, their creation succeeds but grants no capabilities.
  return (plan.clone_flags() & CLONE_NEWUSER) != 0 ? user_namespace_remedy(errnum) : std::string();
}

/// Returns the prefix for an op's origin: a path in config.json, or text that names its own source.
std::string origin_prefix(std::string_view origin) {
  if (origin.empty() || origin.starts_with("default ")) {
    return {};
  }
  const bool elsewhere = origin.starts_with('-') || origin.find(": ") != std::string_view::npos;
  return (elsewhere ? "" : "config.json: ") + std::string(origin) + ": ";
}

}  // namespace

Error init_error(const Plan& plan, std::uint32_t index, int errnum, Step step, const char* detail) {
  if (index >= plan.ops().size()) {
    return Error(ErrorKind::system, "init: " + reason(errnum, step));
  }
  const wire::Op& op = plan.ops()[index];
  if (op.code == OpCode::find_program) {
    return program_error(plan.text(op.str[0]), errnum, step);
  }
  if (op.code == OpCode::exec && step == Step::execve) {
    return exec_error(plan.text(op.str[0]), errnum);
  }
  const std::string what = plan.describe(index);
  const std::string_view origin = plan.text(op.origin);
  const ErrorContext context(what);
  std::string message = origin_prefix(origin);
  message += reason(errnum, step);
  if (detail != nullptr && detail[0] != '\0') {
    std::string more = detail;
    while (!more.empty() && more.back() == '\n') {
      more.pop_back();
    }
    message += " (" + more + ")";
  }
  message += remedy(plan, op, errnum, step);
  const std::size_t document = origin.find(": ");
  return Error(ErrorKind::system, message)
      .with_errno(errnum, step_name(step))
      .with_path(document == std::string_view::npos ? origin : origin.substr(document + 2));
}

}  // namespace tare

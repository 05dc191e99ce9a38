// Features of the kernel, and whether this caller may use them.

#include <fcntl.h>
#include <linux/close_range.h>
#include <linux/filter.h>
#include <linux/keyctl.h>
#include <linux/magic.h>
#include <linux/mount.h>
#include <linux/openat2.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "doctor/examine.h"
#include "spawn/spawn.h"
#include "tare/error.h"
#include "tare/fd.h"
#include "tare/pidfd.h"
#include "tare/seccomp.h"

namespace tare {

namespace {

Fd must_fd(ProbeSteps& steps, const char* call, long result) {
  return Fd(static_cast<int>(steps.must(call, result)));
}

/// Creates a child by clone3(2) with `arguments` and waits for its end.
void clone_and_wait(ProbeSteps& steps, struct clone_args& arguments) {
  arguments.exit_signal = SIGCHLD;
  const long pid = steps.must("clone3", syscall(SYS_clone3, &arguments, sizeof arguments));
  if (pid == 0) {
    _exit(0);
  }
  reap_by_pid(static_cast<pid_t>(pid));
}

void try_clone3(ProbeSteps& steps, const ExaminedCaller&) {
  int pidfd = -1;
  struct clone_args arguments = {};
  arguments.flags = CLONE_PIDFD;
  arguments.pidfd = reinterpret_cast<std::uintptr_t>(&pidfd);
  clone_and_wait(steps, arguments);
}

void try_clone_into_cgroup(ProbeSteps& steps, const ExaminedCaller&) {
  struct clone_args arguments = {};
  arguments.flags = CLONE_INTO_CGROUP;
  arguments.exit_signal = SIGCHLD;
  // No descriptor has this number: a kernel that knows the flag fails with EBADF, an older one
  // rejects the size.
  arguments.cgroup = 1U << 30;
  const long result = syscall(SYS_clone3, &arguments, sizeof arguments);
  if (result >= 0 || errno != EBADF) {
    steps.fail("clone3(CLONE_INTO_CGROUP)", result >= 0 ? EINVAL : errno);
  }
}

void try_pidfd(ProbeSteps& steps, const ExaminedCaller&) {
  const auto pid = static_cast<pid_t>(steps.must("fork", fork()));
  if (pid == 0) {
    pause();
    _exit(0);
  }
  const Fd pidfd = must_fd(steps, "pidfd_open", syscall(SYS_pidfd_open, pid, 0));
  steps.must("pidfd_send_signal", syscall(SYS_pidfd_send_signal, pidfd.get(), SIGKILL, nullptr, 0));
  siginfo_t info = {};
  const int waited = waitid(P_PIDFD, static_cast<id_t>(pidfd.get()), &info, WEXITED);
  if (waited < 0 && errno != ECHILD) {  // ECHILD: SIGCHLD is ignored
    steps.fail("waitid(P_PIDFD)", errno);
  }
}

void try_close_range(ProbeSteps& steps, const ExaminedCaller&) {
  steps.must("close_range", syscall(SYS_close_range, ~0U, ~0U, 0));
  steps.must("close_range(CLOEXEC)", syscall(SYS_close_range, ~0U, ~0U, CLOSE_RANGE_CLOEXEC));
}

void try_openat2(ProbeSteps& steps, const ExaminedCaller&) {
  struct open_how how = {};
  how.flags = O_PATH | O_CLOEXEC;
  how.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS;
  must_fd(steps, "openat2", syscall(SYS_openat2, AT_FDCWD, "/", &how, sizeof how));
}

/// Creates a tmpfs without attaching it.
Fd detached_tmpfs(ProbeSteps& steps) {
  const Fd context = must_fd(steps, "fsopen", syscall(SYS_fsopen, "tmpfs", FSOPEN_CLOEXEC));
  steps.must("fsconfig",
             syscall(SYS_fsconfig, context.get(), FSCONFIG_CMD_CREATE, nullptr, nullptr, 0));
  return must_fd(steps, "fsmount", syscall(SYS_fsmount, context.get(), FSMOUNT_CLOEXEC, 0));
}

void try_mount_api(ProbeSteps& steps, const ExaminedCaller& caller) {
  enter_private_mounts(steps, caller.rootless);
  const Fd mount = detached_tmpfs(steps);
  steps.must("move_mount",
             syscall(SYS_move_mount, mount.get(), "", AT_FDCWD, "/", MOVE_MOUNT_F_EMPTY_PATH));
  must_fd(
      steps, "open_tree",
      syscall(SYS_open_tree, mount.get(), "", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH));
}

void try_mount_setattr(ProbeSteps& steps, const ExaminedCaller& caller) {
  enter_private_mounts(steps, caller.rootless);
  const Fd mount = detached_tmpfs(steps);
  struct mount_attr attributes = {};
  attributes.attr_set = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID;
  steps.must("mount_setattr", syscall(SYS_mount_setattr, mount.get(), "", AT_EMPTY_PATH,
                                      &attributes, sizeof attributes));
}

void try_idmapped_mounts(ProbeSteps& steps, const ExaminedCaller&) {
  const std::vector<IdMapping> mapping = {{0, 100000, 65536}};
  Fd user_namespace;
  steps.entering(true);
  try {
    user_namespace = make_id_mapping(mapping, mapping);
  } catch (const Error& error) {
    steps.fail("clone3(CLONE_NEWUSER)", error.errnum() == 0 ? EPERM : error.errnum());
  }
  enter_private_mounts(steps, false);
  struct mount_attr attributes = {};
  attributes.attr_set = MOUNT_ATTR_IDMAP;
  attributes.userns_fd = static_cast<__u64>(user_namespace.get());
  // Not every file system supports id-mapped mounts: tmpfs since Linux 6.3, most hosts' root file
  // systems earlier.
  const Fd tmpfs = detached_tmpfs(steps);
  if (syscall(SYS_mount_setattr, tmpfs.get(), "", AT_EMPTY_PATH, &attributes, sizeof attributes) ==
      0) {
    return;
  }
  const Fd root =
      must_fd(steps, "open_tree",
              syscall(SYS_open_tree, AT_FDCWD, "/", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC));
  steps.must(
      "mount_setattr(MOUNT_ATTR_IDMAP)",
      syscall(SYS_mount_setattr, root.get(), "", AT_EMPTY_PATH, &attributes, sizeof attributes));
}

void try_memfd(ProbeSteps& steps, const ExaminedCaller&) {
  // A script with a nonexistent interpreter: execve(2) reports that only after it has accepted the
  // file.
  constexpr std::string_view script = "#!/dev/null/no-such-interpreter\n";
  Fd file;
  try {
    file = sealed_memfd("tare-doctor", {{0, script}});
  } catch (const Error& error) {
    steps.fail("memfd_create", error.errnum());
  }
  // The kernel logs a warning for an empty argv.
  char name[] = "tare-doctor";
  const std::array<char*, 2> args = {name, nullptr};
  syscall(SYS_execveat, file.get(), "", args.data(), args.data() + 1, AT_EMPTY_PATH);
  if (errno != ENOTDIR && errno != ENOENT) {
    steps.fail("execveat of a memfd", errno);
  }
}

void try_session_keyring(ProbeSteps& steps, const ExaminedCaller&) {
  steps.must("keyctl", syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, nullptr));
}

long load_filter(std::uint32_t flags) {
  struct sock_filter allow = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
  const struct sock_fprog program = {1, &allow};
  return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &program);
}

void try_seccomp(ProbeSteps& steps, const ExaminedCaller&) {
  steps.must("prctl(PR_SET_NO_NEW_PRIVS)", prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
  steps.must("seccomp", load_filter(0));
}

void try_seccomp_notify(ProbeSteps& steps, const ExaminedCaller&) {
  steps.must("prctl(PR_SET_NO_NEW_PRIVS)", prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
  steps.must("seccomp(NEW_LISTENER)", load_filter(SECCOMP_FILTER_FLAG_NEW_LISTENER));
}

struct KernelFeature {
  const char* name;
  const char* since;  ///< the first kernel version with it
  bool required;
  void (*act)(ProbeSteps&, const ExaminedCaller&);
  const char* needed_for;
};

constexpr std::array kernel_features = {
    KernelFeature{"clone3", "Linux 5.3", true, try_clone3,
                  "a container's first process, created in its namespaces"},
    KernelFeature{"clone-into-cgroup", "Linux 5.7", true, try_clone_into_cgroup,
                  "a process that is in its cgroup from the start"},
    KernelFeature{"pidfd", "Linux 5.4", true, try_pidfd,
                  "signals and waits that cannot affect a later process with the same pid"},
    KernelFeature{"close-range", "Linux 5.11", true, try_close_range,
                  "closing the host's descriptors before a container's program runs"},
    KernelFeature{"openat2", "Linux 5.6", true, try_openat2,
                  "resolving paths of an image within it"},
    KernelFeature{"mount-api", "Linux 5.2", true, try_mount_api, "every mount of a container"},
    KernelFeature{"mount-setattr", "Linux 5.12", true, try_mount_setattr,
                  "read-only paths, and flags of mounts"},
    KernelFeature{"memfd", "Linux 3.19", true, try_memfd,
                  "the sealed program that sets up the container and cannot be overwritten"},
    KernelFeature{"session-keyring", "Linux 2.6.10 with CONFIG_KEYS", false, try_session_keyring,
                  "a keyring of the container's own (not with --no-new-keyring)"},
    KernelFeature{"seccomp", "Linux 3.17 with CONFIG_SECCOMP_FILTER", false, try_seccomp,
                  "linux.seccomp, which every engine sets by default"},
    KernelFeature{"seccomp-notify", "Linux 5.0", false, try_seccomp_notify,
                  "SCMP_ACT_NOTIFY: system calls that an agent answers"},
};

void examine_memfd_remedy(Finding& finding) {
  const auto setting = read_file_if_exists(AT_FDCWD, "/proc/sys/vm/memfd_noexec");
  if (setting.has_value() && setting->starts_with('2')) {
    finding.remedy = "sysctl -w vm.memfd_noexec=1  (2 forbids programs in memory)";
  }
}

Finding idmapped_mounts(const ExaminedCaller& caller) {
  Finding finding{
      .group = "kernel",
      .name = "idmapped-mounts",
      .needed_for = "uidMappings of a mount: a volume whose files keep their owners on the host"};
  if (caller.rootless) {
    finding.status = FindingStatus::missing;
    finding.found = "only the owner of a file system may map its ids";
    finding.remedy = "run as root where a mount needs it";
    return finding;
  }
  const ProbeResult result = probe([&](ProbeSteps& steps) { try_idmapped_mounts(steps, caller); });
  finding = evaluate(std::move(finding), result, "Linux 5.12");
  if (result.errnum == EINVAL) {
    finding.remedy = "use Linux 6.3 or later, or volumes on ext4, xfs or btrfs";
  }
  return finding;
}

/// Examines the filter that controls which devices a container may use.
Finding device_filter(const ExaminedCaller& caller) {
  Finding finding{.group = "kernel",
                  .name = "device-filter",
                  .required = !caller.tolerant,
                  .needed_for = "linux.resources.devices: which devices a container may use"};
  const int errnum = device_filter_errno();
  if (errnum == 0) {
    return finding;
  }
  finding.found = "bpf(BPF_PROG_LOAD): " + errno_text(errnum);
  if (errnum == EPERM && caller.rootless) {
    finding.status = FindingStatus::limited;
    finding.found +=
        "; for an ordinary user's container, the permissions of the device files apply";
    finding.remedy = "run as root where rules for devices must hold";
    return finding;
  }
  finding.status = FindingStatus::missing;
  finding.remedy = errnum == EPERM
                       ? "run with CAP_BPF or CAP_SYS_ADMIN of the host's user namespace"
                       : "use a kernel with CONFIG_BPF_SYSCALL and CONFIG_CGROUP_BPF (Linux 4.15)";
  return finding;
}

Finding procfs() {
  Finding finding{.group = "kernel",
                  .name = "procfs",
                  .required = true,
                  .found = "/proc",
                  .needed_for = "facts about processes and namespaces"};
  struct statfs status = {};
  if (statfs("/proc/self", &status) != 0) {
    finding.status = FindingStatus::missing;
    finding.found = "/proc/self: " + errno_text(errno);
  } else if (status.f_type != PROC_SUPER_MAGIC) {
    finding.status = FindingStatus::missing;
    finding.found = "/proc is not a procfs";
  }
  if (finding.status != FindingStatus::ok) {
    finding.remedy = "mount -t proc proc /proc  (as root)";
  }
  return finding;
}

Finding seccomp_flags() {
  Finding finding{.group = "kernel", .name = "seccomp-flags", .needed_for = "linux.seccomp.flags"};
  const std::vector<std::string> supported = seccomp_supported_flags();
  for (const std::string& flag : seccomp_known_flags()) {
    if (std::find(supported.begin(), supported.end(), flag) == supported.end()) {
      finding.found.append(finding.found.empty() ? "without " : ", ").append(flag);
    }
  }
  if (!finding.found.empty()) {
    finding.status = FindingStatus::limited;
    finding.remedy = "use a newer kernel, or leave these flags out (WAIT_KILLABLE_RECV is of 5.19)";
  }
  return finding;
}

}  // namespace

void examine_kernel(const ExaminedCaller& caller, Findings& findings) {
  findings.push_back(procfs());
  for (const KernelFeature& feature : kernel_features) {
    const ProbeResult result = probe([&](ProbeSteps& steps) { feature.act(steps, caller); });
    findings.push_back(evaluate({.group = "kernel",
                                 .name = feature.name,
                                 .required = feature.required,
                                 .needed_for = feature.needed_for},
                                result, feature.since));
    if (feature.act == try_memfd && !result.good()) {
      examine_memfd_remedy(findings.back());
    }
  }
  findings.push_back(seccomp_flags());
  findings.push_back(idmapped_mounts(caller));
  findings.push_back(device_filter(caller));
}

}  // namespace tare

// The types of namespaces, and the file systems that are mounted in them.

#include <fcntl.h>
#include <linux/mount.h>
#include <sched.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <string>
#include <utility>

#include "doctor/examine.h"
#include "tare/fd.h"

#ifndef CLONE_NEWTIME
#define CLONE_NEWTIME 0x00000080
#endif

namespace tare {

namespace {

struct NamespaceKind {
  const char* name;
  std::uint64_t flag;
  bool of_root;      ///< required by the config of `spec` as root
  bool of_ordinary;  ///< required by the config of `spec --rootless`
  const char* since;
  const char* needed_for;
};

constexpr std::array kinds = {
    NamespaceKind{"namespace-mount", CLONE_NEWNS, true, true, "every Linux", "mounts of its own"},
    NamespaceKind{"namespace-pid", CLONE_NEWPID, true, true, "a kernel with CONFIG_PID_NS",
                  "processes of its own"},
    NamespaceKind{"namespace-ipc", CLONE_NEWIPC, true, true, "a kernel with CONFIG_IPC_NS",
                  "System V IPC and message queues of its own"},
    NamespaceKind{"namespace-uts", CLONE_NEWUTS, true, true, "a kernel with CONFIG_UTS_NS",
                  "a host name of its own"},
    NamespaceKind{"namespace-network", CLONE_NEWNET, true, false, "a kernel with CONFIG_NET_NS",
                  "a network of its own"},
    NamespaceKind{"namespace-cgroup", CLONE_NEWCGROUP, true, true, "Linux 4.6",
                  "a container that sees only its own cgroup"},
    NamespaceKind{"namespace-time", CLONE_NEWTIME, false, false, "Linux 5.6 with CONFIG_TIME_NS",
                  "linux.timeOffsets"},
};

struct FileSystem {
  const char* name;  ///< of the finding
  const char* type;
  bool of_root;
  bool of_ordinary;
  const char* needed_for;
};

constexpr std::array file_systems = {
    FileSystem{"mount-proc", "proc", true, true, "/proc, which shows the container's processes"},
    FileSystem{"mount-tmpfs", "tmpfs", true, true, "/dev and /dev/shm"},
    FileSystem{"mount-devpts", "devpts", true, true, "terminals"},
    FileSystem{"mount-mqueue", "mqueue", true, true, "/dev/mqueue"},
    FileSystem{"mount-sysfs", "sysfs", true, false,
               "/sys, which shows the container's network devices"},
    FileSystem{"mount-overlay", "overlay", false, false,
               "the images of engines, in layers (not tare itself)"},
};

void mount_detached(ProbeSteps& steps, const char* type, const char* gid) {
  const Fd context(
      static_cast<int>(steps.must("fsopen", syscall(SYS_fsopen, type, FSOPEN_CLOEXEC))));
  if (gid != nullptr) {
    steps.must("mount with gid=5",
               syscall(SYS_fsconfig, context.get(), FSCONFIG_SET_STRING, "gid", gid, 0));
  }
  steps.must("mount",
             syscall(SYS_fsconfig, context.get(), FSCONFIG_CMD_CREATE, nullptr, nullptr, 0));
  const Fd mount(static_cast<int>(
      steps.must("mount", syscall(SYS_fsmount, context.get(), FSMOUNT_CLOEXEC, 0))));
}

enum class Presence : std::uint8_t { loaded, module, none };

/// Whether the kernel has a file system built in, or as a module. Opening one that is not loaded
/// would load it.
Presence presence_of(const char* type) {
  const std::string known = read_file_if_exists(AT_FDCWD, "/proc/filesystems").value_or("");
  if (known.find("\t" + std::string(type) + "\n") != std::string::npos) {
    return Presence::loaded;
  }
  struct utsname name = {};
  uname(&name);
  const std::string modules = std::string("/lib/modules/") + name.release + "/modules.dep";
  const std::string file = "/" + std::string(type) + ".ko";
  const bool is_module =
      read_file_if_exists(AT_FDCWD, modules).value_or("").find(file) != std::string::npos;
  return is_module ? Presence::module : Presence::none;
}

ProbeResult try_mount(const ExaminedCaller& caller, const FileSystem& each) {
  return probe([&](ProbeSteps& steps) {
    // Mounting a file system that shows a namespace requires privileges over that namespace.
    const std::string_view type = each.type;
    const std::uint64_t network = type == "sysfs" ? CLONE_NEWNET : 0;
    enter_namespaces(steps, caller.rootless, CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWIPC | network);
    continue_as_child(steps);
    // The config of `spec` uses 5 as the gid of the group tty.
    mount_detached(steps, each.type, type == "devpts" && !caller.rootless ? "5" : nullptr);
  });
}

void explain_mount(Finding& finding, const ProbeResult& result) {
  if (finding.name == "mount-devpts" && result.errnum == EINVAL) {
    finding.remedy =
        "map more than one group into the caller's user namespace, or leave gid=5 out "
        "of the options of /dev/pts, as `spec --rootless` does";
  } else if (result.errnum == EPERM &&
             (finding.name == "mount-proc" || finding.name == "mount-sysfs")) {
    const std::string at = finding.name == "mount-proc" ? "/proc" : "/sys";
    finding.remedy =
        "the kernel refuses this mount in a user namespace where parts of " + at +
        " are masked outside, as they are in a container: run the outer one unmasked (podman: "
        "--security-opt unmask=ALL; docker: --privileged), or bind the outer " +
        at;
  }
}

/// Completes the finding about a file system that has not been used yet.
Finding unused(Finding finding, const char* type, Presence presence) {
  if (presence == Presence::module) {
    finding.found = "a module, which is loaded when it is first used";
    return finding;
  }
  finding.status = FindingStatus::missing;
  finding.found = "the kernel has no file system " + std::string(type) + " and no module for it";
  finding.remedy =
      "use a kernel that has it, or load the module (modprobe " + std::string(type) + ")";
  return finding;
}

Finding file_system(const ExaminedCaller& caller, const FileSystem& each) {
  const bool required = caller.rootless ? each.of_ordinary : each.of_root;
  Finding finding{.group = "file-systems",
                  .name = each.name,
                  .required = required,
                  .needed_for = each.needed_for};
  const Presence presence = presence_of(each.type);
  if (presence != Presence::loaded) {
    return unused(std::move(finding), each.type, presence);
  }
  if (std::string_view(each.type) == "overlay") {
    return finding;  // it is mounted on directories that only an engine has
  }
  const ProbeResult result = try_mount(caller, each);
  finding = evaluate(std::move(finding), result, std::string("a kernel with ") + each.type);
  if (!result.good() && !result.entering) {
    explain_mount(finding, result);
  }
  return finding;
}

/// In a chroot "/" may be no mount point, and then its propagation cannot be set.
Finding root_mount(const ExaminedCaller& caller) {
  const ProbeResult result = probe([&](ProbeSteps& steps) {
    enter_namespaces(steps, caller.rootless, CLONE_NEWNS);
    struct mount_attr attributes = {};
    attributes.propagation = MS_SLAVE;
    steps.must("mount_setattr of /", syscall(SYS_mount_setattr, AT_FDCWD, "/", AT_RECURSIVE,
                                             &attributes, sizeof attributes));
  });
  Finding finding = evaluate({.group = "namespaces",
                              .name = "root-mount",
                              .required = true,
                              .needed_for = "mounts of a container that the host does not get"},
                             result, "Linux 5.12");
  if (result.errnum == EINVAL && !result.entering) {
    finding.remedy =
        "make the chroot's directory a mount before it is entered: mount --bind DIR "
        "DIR";
  }
  return finding;
}

}  // namespace

void examine_namespaces(const ExaminedCaller& caller, Findings& findings) {
  for (const NamespaceKind& kind : kinds) {
    const ProbeResult result = probe([&](ProbeSteps& steps) {
      enter_namespaces(steps, caller.rootless, 0);
      steps.must("unshare", unshare(static_cast<int>(kind.flag)));
    });
    const bool required = caller.rootless ? kind.of_ordinary : kind.of_root;
    findings.push_back(evaluate({.group = "namespaces",
                                 .name = kind.name,
                                 .required = required,
                                 .needed_for = kind.needed_for},
                                result, kind.since));
  }
  findings.push_back(root_mount(caller));
}

void examine_file_systems(const ExaminedCaller& caller, Findings& findings) {
  for (const FileSystem& each : file_systems) {
    findings.push_back(file_system(caller, each));
  }
}

}  // namespace tare

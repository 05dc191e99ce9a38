// The caller's capabilities and their restrictions.

#include <linux/capability.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>

#include "container/host_facts.h"
#include "doctor/examine.h"
#include "host/own_status.h"
#include "tare/error.h"

namespace tare {

namespace {

constexpr const char* privileges_group = "privileges";

struct Need {
  int capability;
  const char* name;
  bool required;  ///< for the config of `spec` as root
  const char* needed_for;
};

constexpr std::array needs = {
    Need{CAP_SYS_ADMIN, "CAP_SYS_ADMIN", true, "namespaces and mounts"},
    Need{CAP_NET_ADMIN, "CAP_NET_ADMIN", true, "the loopback device, linux.netDevices"},
    Need{CAP_MKNOD, "CAP_MKNOD", true, "/dev/null and other devices"},
    Need{CAP_SYS_CHROOT, "CAP_SYS_CHROOT", true, "the root of a mount namespace"},
    Need{CAP_SETPCAP, "CAP_SETPCAP", true, "taking capabilities from the container for good"},
    Need{CAP_SETGID, "CAP_SETGID", true, "process.user: groups"},
    Need{CAP_SETUID, "CAP_SETUID", false, "process.user: another user than root"},
    Need{CAP_DAC_OVERRIDE, "CAP_DAC_OVERRIDE", true,
         "cgroups, and rootfs directories that belong to others"},
    Need{CAP_KILL, "CAP_KILL", true, "being granted by the config of `spec`; signals"},
    Need{CAP_NET_BIND_SERVICE, "CAP_NET_BIND_SERVICE", true,
         "being granted by the config of `spec`"},
    Need{CAP_AUDIT_WRITE, "CAP_AUDIT_WRITE", true, "being granted by the config of `spec`"},
    Need{CAP_CHOWN, "CAP_CHOWN", false, "owners of devices, cgroups and terminals; being granted"},
    Need{CAP_FOWNER, "CAP_FOWNER", false, "being granted by engines' defaults"},
    Need{CAP_FSETID, "CAP_FSETID", false, "being granted by engines' defaults"},
    Need{CAP_SETFCAP, "CAP_SETFCAP", false,
         "being granted by engines' defaults; mapping root into a user namespace"},
    Need{CAP_NET_RAW, "CAP_NET_RAW", false, "being granted by docker's default: ping"},
    Need{CAP_SYS_PTRACE, "CAP_SYS_PTRACE", false,
         "checkpoint; joining namespaces of another user's processes"},
    Need{CAP_SYS_RESOURCE, "CAP_SYS_RESOURCE", false,
         "process.rlimits above the caller's own, a lower process.oomScoreAdj (kubelet and CRI set "
         "it: restrict_oom_score_adj = true in containerd avoids it)"},
    Need{CAP_SYS_NICE, "CAP_SYS_NICE", false, "process.scheduler, process.ioPriority"},
};

std::uint64_t effective_capabilities() {
  struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
  struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {};
  if (syscall(SYS_capget, &header, data) != 0) {
    throw_errno("capget");
  }
  return std::uint64_t{data[1].effective} << 32 | data[0].effective;
}

void examine_capabilities(Findings& findings) {
  const std::uint64_t has = effective_capabilities();
  for (const Need& need : needs) {
    Finding finding{.group = privileges_group,
                    .name = need.name,
                    .required = need.required,
                    .needed_for = need.needed_for};
    if ((has >> need.capability & 1) == 0) {
      finding.status = FindingStatus::missing;
      finding.found = "not among the effective capabilities";
      finding.remedy = std::string("start the caller with it (in a container: --cap-add ") +
                       (need.name + std::string_view("CAP_").size()) +
                       "; as a systemd service: CapabilityBoundingSet=)";
    }
    findings.push_back(std::move(finding));
  }
}

Finding initial_user_namespace() {
  Finding finding{.group = privileges_group,
                  .name = "initial-user-namespace",
                  .needed_for = "devices, rules for them, most sysctls"};
  if (in_user_namespace()) {
    finding.status = FindingStatus::limited;
    finding.found = "root of a user namespace, with its rights alone";
    finding.remedy = "run outside of the container or of `podman unshare`";
  }
  return finding;
}

Finding seccomp_filter() {
  Finding finding{.group = privileges_group,
                  .name = "unfiltered",
                  .needed_for = "system calls beyond those of an outer seccomp filter"};
  if (has_seccomp_filter()) {
    finding.status = FindingStatus::limited;
    finding.found = "the caller has a seccomp filter, which applies to containers too";
    finding.remedy = "run the outer container with --security-opt seccomp=unconfined";
  }
  return finding;
}

Finding new_privileges() {
  Finding finding{
      .group = privileges_group,
      .name = "new-privileges",
      .needed_for = "newuidmap and newgidmap; sudo in a container without noNewPrivileges"};
  if (own_status("NoNewPrivs") == "1") {
    finding.status = FindingStatus::limited;
    finding.found = "the caller runs with no_new_privs, which cannot be undone";
    finding.remedy =
        "start it otherwise (systemd: NoNewPrivileges=no; docker: without "
        "--security-opt no-new-privileges)";
  }
  return finding;
}

}  // namespace

void examine_privileges(const ExaminedCaller& caller, Findings& findings) {
  if (!caller.rootless) {
    examine_capabilities(findings);
    findings.push_back(initial_user_namespace());
  }
  findings.push_back(seccomp_filter());
  findings.push_back(new_privileges());
}

}  // namespace tare

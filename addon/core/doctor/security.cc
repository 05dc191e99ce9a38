// Security modules, and cache allocation.

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

#include "container/host_facts.h"
#include "doctor/examine.h"
#include "host/resctrl/resctrl.h"
#include "tare/error.h"
#include "tare/fd.h"

namespace tare {

namespace {

constexpr const char* security_group = "security";

/// Returns the first line of a file; empty if it cannot be read.
std::string first_line_of_file(const std::string& path) {
  try {
    const std::string text = read_file_if_exists(AT_FDCWD, path).value_or("");
    return text.substr(0, text.find_first_of(std::string_view("\n\0", 2)));
  } catch (const Error&) {
    return {};
  }
}

Finding apparmor() {
  Finding finding{
      .group = security_group,
      .name = "apparmor",
      .needed_for =
          "process.apparmorProfile, which docker, podman and containerd set where it is on"};
  if (has_apparmor()) {
    const std::string profile = first_line_of_file("/proc/self/attr/apparmor/current");
    finding.found = "enabled" + (profile.empty() ? "" : ", the caller is " + profile);
    if (!profile.empty() && profile != "unconfined") {
      finding.status = FindingStatus::limited;
      finding.remedy =
          "run the caller unconfined (in a container: --security-opt "
          "apparmor=unconfined); its profile holds for what it starts, too";
    }
    return finding;
  }
  finding.status = FindingStatus::missing;
  finding.found = "not enabled in this kernel";
  finding.remedy = "boot with apparmor=1 security=apparmor on the kernel's command line";
  return finding;
}

Finding selinux() {
  Finding finding{.group = security_group,
                  .name = "selinux",
                  .needed_for = "process.selinuxLabel, linux.mountLabel"};
  if (has_selinux()) {
    const std::string enforce = first_line_of_file("/sys/fs/selinux/enforce");
    finding.found = enforce == "1" ? "enforcing" : "permissive";
    return finding;
  }
  finding.status = FindingStatus::missing;
  finding.found = "not enabled in this kernel";
  finding.remedy =
      "boot with security=selinux selinux=1 on the kernel's command line, with a "
      "policy installed";
  return finding;
}

/// Returns the mount point of resctrl; empty if it is unknown, e.g. without /proc.
std::string mounted_resctrl() {
  try {
    return find_resctrl();
  } catch (const Error&) {
    return {};
  }
}

Finding resctrl() {
  Finding finding{.group = security_group,
                  .name = "resctrl",
                  .found = mounted_resctrl(),
                  .needed_for = "linux.intelRdt: shares of caches and memory bandwidth"};
  if (!finding.found.empty()) {
    return finding;
  }
  finding.status = FindingStatus::missing;
  const std::string known = read_file_if_exists(AT_FDCWD, "/proc/filesystems").value_or("");
  if (known.find("\tresctrl\n") != std::string::npos) {
    finding.found = "not mounted";
    finding.remedy = "mount -t resctrl resctrl /sys/fs/resctrl  (as root)";
  } else {
    finding.found = "this processor or kernel has none";
    finding.remedy =
        "use a processor with Intel RDT or AMD QoS, and a kernel with "
        "CONFIG_X86_CPU_RESCTRL";
  }
  return finding;
}

}  // namespace

void examine_security(const ExaminedCaller&, Findings& findings) {
  findings.push_back(apparmor());
  findings.push_back(selinux());
  findings.push_back(resctrl());
}

}  // namespace tare

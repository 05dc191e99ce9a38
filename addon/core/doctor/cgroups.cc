// The cgroup tree: the parent of containers' cgroups, and the controllers available there.

#include <dirent.h>
#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <optional>
#include <utility>

#include "cgroup/lists.h"
#include "doctor/examine.h"
#include "systemd/systemd.h"
#include "tare/error.h"
#include "tare/fd.h"
#include "tare/spec.h"

namespace tare {

namespace {

constexpr const char* group = "cgroups";

Finding version(const ExaminedCaller& caller) {
  Finding finding{.group = group,
                  .name = "cgroup-v2",
                  .found = caller.cgroups.mount_point,
                  .needed_for = "limits (linux.resources), pause, events"};
  if (caller.cgroups.mode == CgroupMode::unified) {
    return finding;
  }
  const bool hybrid = caller.cgroups.mode == CgroupMode::hybrid;
  finding.status = hybrid ? FindingStatus::limited : FindingStatus::missing;
  finding.found = hybrid
                      ? "at " + caller.cgroups.mount_point +
                            ", in addition to cgroup v1 hierarchies, which keep their controllers"
                      : "no cgroup2 file system is mounted";
  finding.remedy =
      "boot with systemd.unified_cgroup_hierarchy=1, or cgroup_no_v1=all, on the "
      "kernel's command line; without systemd: mount -t cgroup2 none /sys/fs/cgroup";
  return finding;
}

/// A directory of the tree; `path` is relative to the mount point.
struct CgroupDirectory {
  std::string mount_point;
  std::string path;

  std::string full_path() const { return mount_point + path; }
  std::string read(const char* file) const {
    try {
      return read_file_if_exists(AT_FDCWD, full_path() + "/" + file).value_or("");
    } catch (const Error&) {
      return {};
    }
  }
  bool may_write(const char* file) const {
    const std::string name = full_path() + (*file == '\0' ? "" : "/") + file;
    return faccessat(AT_FDCWD, name.c_str(), W_OK, AT_EACCESS) == 0;
  }
};

/// Returns `path`, or its deepest existing ancestor.
CgroupDirectory existing_directory(const CgroupHost& host, std::string path) {
  CgroupDirectory directory{host.mount_point, std::move(path)};
  while (!directory.path.empty() && access(directory.full_path().c_str(), F_OK) != 0) {
    directory.path.resize(directory.path.rfind('/'));
  }
  return directory;
}

/// Returns the parent cgroup of containers' units; empty if there is no manager.
std::string unit_parent(bool rootless) {
  const SystemdManager manager = rootless ? SystemdManager::user : SystemdManager::system;
  try {
    const Systemd systemd = Systemd::connect(manager, systemd_timeout);
    return systemd.control_group() + systemd_slice_path(systemd_default_slice(manager));
  } catch (const Error&) {
    return {};  // reported by the finding about systemd
  }
}

/// Returns the parent cgroup of containers.
CgroupDirectory parent_directory(const ExaminedCaller& caller) {
  std::string path = caller.runtime.systemd_cgroup ? unit_parent(caller.rootless) : std::string();
  if (path.empty()) {
    path = cgroup_path_for(Spec(), "tare-doctor", caller.cgroups);
    path.resize(path.rfind('/'));
  }
  return existing_directory(caller.cgroups, std::move(path));
}

Finding parent_finding(const ExaminedCaller& caller, const CgroupDirectory& directory) {
  Finding finding{
      .group = group,
      .name = "cgroup",
      .required = !caller.tolerant,
      .found = directory.full_path(),
      .needed_for = "a container's cgroup: limits, events, pause, and kill of all its processes"};
  if (caller.runtime.systemd_cgroup) {
    finding.found += ", by systemd";
    return finding;
  }
  if (directory.may_write("") && directory.may_write("cgroup.procs")) {
    return finding;
  }
  const std::string reason = errno_text(errno);
  finding.status = FindingStatus::missing;
  finding.found = "no cgroup can be made below " + directory.full_path() + ": " + reason;
  finding.remedy = caller.rootless
                       ? "systemd-run --user --scope -p Delegate=yes COMMAND"
                       : "remount it writable (in a container: a cgroup namespace and a writable "
                         "/sys/fs/cgroup; podman: --cgroups=split, docker: --privileged)";
  return finding;
}

/// The controllers available to the caller in a child of a cgroup, and the cgroups that withhold
/// the others.
struct Delegation {
  std::string has;  ///< space-separated
  std::string of_kernel;
  std::array<std::string, 8> stops;  ///< by index of the controller
};

constexpr std::array<const char*, 8> controllers = {"cpu",  "cpuset",  "io",   "memory",
                                                    "pids", "hugetlb", "rdma", "misc"};
constexpr std::array<const char*, 8> controller_needs = {"resources.cpu: shares, quota",
                                                         "resources.cpu.cpus and mems",
                                                         "resources.blockIO",
                                                         "resources.memory, and OOM events",
                                                         "resources.pids.limit",
                                                         "resources.hugepageLimits",
                                                         "resources.rdma",
                                                         "resources.unified[\"misc.max\"]"};

bool has_processes(const CgroupDirectory& directory) {
  // Only the root can contain processes and enable controllers for children.
  return !directory.path.empty() && !directory.read("cgroup.procs").empty();
}

Delegation delegation_at(const CgroupDirectory& parent) {
  Delegation delegation;
  CgroupDirectory directory{parent.mount_point, {}};
  delegation.of_kernel = directory.read("cgroup.controllers");
  const auto pass = [&] {
    const std::string offered = directory.read("cgroup.controllers");
    const std::string enabled = directory.read("cgroup.subtree_control");
    const bool changes = directory.may_write("cgroup.subtree_control");
    const bool full = has_processes(directory);
    std::string next;
    for (std::size_t i = 0; i < controllers.size(); ++i) {
      if (has_word(enabled, controllers[i]) ||
          (has_word(offered, controllers[i]) && changes && !full)) {
        next.append(controllers[i]).append(" ");
      } else if (delegation.stops[i].empty()) {
        delegation.stops[i] = directory.full_path() +
                              (changes && full ? " has processes, and" : "") +
                              " does not delegate it";
      }
    }
    delegation.has = next;
  };
  pass();
  for_each_part(parent.path, '/', [&](std::string_view part) {
    directory.path.append("/").append(part);
    pass();
    return true;
  });
  return delegation;
}

/// Whether a cgroup v1 hierarchy uses the controller; see cgroups(7), /proc/cgroups.
bool is_of_v1(std::string_view controller) {
  const std::string text = read_file_if_exists(AT_FDCWD, "/proc/self/cgroup").value_or("");
  bool found = false;
  for_each_part(text, '\n', [&](std::string_view line) {
    const std::size_t first = line.find(':');
    const std::size_t second = line.find(':', first + 1);
    if (second == line.npos) {
      return true;
    }
    for_each_part(line.substr(first + 1, second - first - 1), ',', [&](std::string_view each) {
      found = found || each == controller || (controller == "io" && each == "blkio");
      return !found;
    });
    return !found;
  });
  return found;
}

std::string delegating(const ExaminedCaller& caller, const std::string& controller,
                       const CgroupDirectory& parent) {
  if (caller.rootless) {
    return "systemctl edit user@.service, with [Service] Delegate=cpu cpuset io memory pids (as "
           "root; log in again), or systemd-run --user --scope -p Delegate=yes COMMAND";
  }
  return "echo +" + controller + " >" + parent.full_path() +
         "/cgroup.subtree_control, in each directory from the root on, or set linux.cgroupsPath to "
         "a directory that has it";
}

/// `possible`: a cgroup can be created there.
void examine_controllers(const ExaminedCaller& caller, const CgroupDirectory& parent, bool possible,
                         Findings& findings) {
  const Delegation delegation = delegation_at(parent);
  for (std::size_t i = 0; i < controllers.size(); ++i) {
    const std::string controller = controllers[i];
    Finding finding{
        .group = group, .name = "controller-" + controller, .needed_for = controller_needs[i]};
    if (has_word(delegation.has, controller)) {
      if (!possible) {
        finding.status = FindingStatus::limited;
        finding.found = "the tree has it, but not for this caller: see cgroup";
        finding.remedy = delegating(caller, controller, parent);
      }
    } else {
      finding.status = FindingStatus::missing;
      if (has_word(delegation.of_kernel, controller)) {
        finding.found = delegation.stops[i];
        finding.remedy = delegating(caller, controller, parent);
      } else if (is_of_v1(controller)) {
        finding.found = "a hierarchy of cgroup v1 has it";
        finding.remedy =
            "boot with cgroup_no_v1=" + std::string(controller == "io" ? "blkio" : controller) +
            " or systemd.unified_cgroup_hierarchy=1 on the kernel's command line";
      } else {
        finding.found = delegation.of_kernel.empty() || parent.mount_point.empty()
                            ? "the tree has no controllers"
                            : "the tree has: " +
                                  delegation.of_kernel.substr(0, delegation.of_kernel.find('\n'));
        finding.remedy = "use a kernel with this controller, without cgroup_disable=" + controller +
                         " on its command line; in a container: have it delegated from outside";
      }
    }
    findings.push_back(std::move(finding));
  }
}

/// Returns the caller's own cgroup or any other, but not the root of the hierarchy, which has fewer
/// files.
std::optional<CgroupDirectory> any_cgroup(const CgroupDirectory& parent) {
  CgroupDirectory directory = parent;
  const auto is_one = [&] {
    return access((directory.full_path() + "/cgroup.events").c_str(), F_OK) == 0;
  };
  if (is_one()) {
    return directory;
  }
  DIR* const stream = opendir(parent.full_path().c_str());
  std::optional<CgroupDirectory> found;
  while (stream != nullptr && !found.has_value()) {
    const dirent* const entry = readdir(stream);
    if (entry == nullptr) {
      break;
    }
    directory.path = parent.path + "/" + entry->d_name;
    if (entry->d_name[0] != '.' && entry->d_type == DT_DIR && is_one()) {
      found = directory;
    }
  }
  if (stream != nullptr) {
    closedir(stream);
  }
  return found;
}

Finding file_finding(const char* name, const char* file, const char* since, const char* needed_for,
                     const CgroupDirectory& directory) {
  Finding finding{.group = group, .name = name, .needed_for = needed_for};
  if (access((directory.full_path() + "/" + file).c_str(), F_OK) != 0) {
    finding.status = FindingStatus::missing;
    finding.found = directory.full_path() + " has no " + file;
    finding.remedy = std::string("use a kernel that has it: ") + since;
  }
  return finding;
}

}  // namespace

void examine_cgroups(const ExaminedCaller& caller, Findings& findings) {
  findings.push_back(version(caller));
  if (caller.cgroups.mode == CgroupMode::legacy) {
    return;
  }
  const CgroupDirectory parent = parent_directory(caller);
  findings.push_back(parent_finding(caller, parent));
  const bool possible = findings.back().status == FindingStatus::ok;
  if (const auto directory = any_cgroup(parent); directory.has_value()) {
    findings.push_back(file_finding("cgroup-freeze", "cgroup.freeze", "Linux 5.2",
                                    "pause and resume", *directory));
    findings.push_back(file_finding("cgroup-kill", "cgroup.kill", "Linux 5.14",
                                    "killing all processes at once (else they are frozen and "
                                    "killed one by one)",
                                    *directory));
  }
  examine_controllers(caller, parent, possible, findings);
}

}  // namespace tare

#include "container/host_facts.h"

#include <fcntl.h>
#include <linux/nsfs.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "tare/error.h"
#include "tare/fd.h"

namespace tare {
namespace {

constexpr ino_t initial_user_namespace_inode = 0xEFFFFFFD;  // PROC_USER_INIT_INO of the kernel

ino_t inode(int fd) {
  struct stat status{};
  if (fstat(fd, &status) < 0) {
    throw_errno("fstat");
  }
  return status.st_ino;
}

/// Returns which of the namespaces to join belong to the user namespace to join (see ioctl_ns(2)).
std::uint64_t find_inner_namespaces(const Spec& spec) {
  const Namespace* user = spec.find_namespace(NamespaceType::user);
  if (user == nullptr || user->path.empty()) {
    return 0;
  }
  const ino_t joined = inode(open_file(AT_FDCWD, user->path, O_RDONLY).get());
  std::uint64_t inner = 0;
  for (const Namespace& entry : spec.linux_.namespaces) {
    if (entry.path.empty() || entry.type == NamespaceType::user) {
      continue;
    }
    const Fd file = open_file(AT_FDCWD, entry.path, O_RDONLY);
    const Fd owner(ioctl(file.get(), NS_GET_USERNS));
    if (owner && inode(owner.get()) == joined) {
      inner |= namespace_clone_flag(entry.type);
    }
  }
  return inner;
}

}  // namespace

std::uint64_t inner_namespaces_of(pid_t pid, std::initializer_list<NamespaceType> types) {
  const std::string directory = "/proc/" + std::to_string(pid) + "/ns/";
  const ino_t user = inode(open_file(AT_FDCWD, directory + "user", O_RDONLY).get());
  std::uint64_t inner = 0;
  for (const NamespaceType type : types) {
    const Fd file = open_file(AT_FDCWD, directory + namespace_proc_name(type), O_RDONLY);
    const Fd owner(ioctl(file.get(), NS_GET_USERNS));
    if (owner && inode(owner.get()) == user) {
      inner |= namespace_clone_flag(type);
    }
  }
  return inner;
}

namespace {

[[noreturn]] void refuse(const std::string& path, const std::string& message) {
  throw Error(ErrorKind::unsupported, path + ": " + message)
      .with_path(path.substr(path.find(": ") + 2));
}

}  // namespace

bool has_apparmor() {
  const auto enabled = read_file_if_exists(AT_FDCWD, "/sys/module/apparmor/parameters/enabled");
  return enabled.has_value() && enabled->starts_with('Y');
}

bool has_selinux() { return access("/sys/fs/selinux/enforce", F_OK) == 0; }

bool in_user_namespace() {
  // A multithreaded process cannot change its user namespace.
  static const bool inside = [] {
    struct stat status{};
    return stat("/proc/self/ns/user", &status) == 0 &&
           status.st_ino != initial_user_namespace_inode;
  }();
  return inside;
}

Host find_host(const std::string& bundle, const CgroupHost& cgroups) {
  Host host;
  host.bundle = bundle;
  host.euid = geteuid();
  host.rootless = host.euid != 0;
  host.egid = host.rootless ? getegid() : 0;
  host.cgroup_unified = cgroups.mode == CgroupMode::unified;
  return host;
}

void check_labels(Host& host, const Process& process, const ProcessSource& source,
                  const std::string& mount_label) {
  if (!process.apparmor_profile.empty()) {
    host.has_apparmor = has_apparmor();
    if (!host.has_apparmor) {
      refuse(source.path("apparmorProfile"),
             "AppArmor is not enabled in this kernel; remove the profile, or boot with apparmor=1 "
             "security=apparmor");
    }
  }
  if (!process.selinux_label.empty() || !mount_label.empty()) {
    host.has_selinux = has_selinux();
    // Without SELinux a mount label has no effect, so it is accepted.
    if (!host.has_selinux && !process.selinux_label.empty()) {
      refuse(source.path("selinuxLabel"),
             "SELinux is not enabled in this kernel; remove the label, or boot with selinux=1");
    }
  }
}

namespace {

/// The kernel permits id mapping only with all privileges over the file system.
void check_id_mapped_mounts(const std::vector<Mount>& mounts) {
  for (std::size_t i = 0; i < mounts.size(); ++i) {
    const bool mapped = !mounts[i].uid_mappings.empty() ||
                        std::ranges::any_of(mounts[i].options, [](const std::string& option) {
                          return option == "idmap" || option == "ridmap";
                        });
    if (mapped) {
      refuse("mounts[" + std::to_string(i) + "]",
             "id-mapped mounts are not supported for rootless containers: mapping the ids of a "
             "file system is its owner's right; run as root, or remove the mapping");
    }
  }
}

/// A joined network namespace may be this process's own.
void check_net_sysctls(const Spec& spec) {
  const Namespace* network = spec.find_namespace(NamespaceType::network);
  if (network == nullptr || network->path.empty()) {
    return;
  }
  for (const auto& [key, value] : spec.linux_.sysctl) {
    if (!key.starts_with("net.") && !key.starts_with("net/")) {
      continue;
    }
    struct stat own{};
    struct stat joined{};
    if (stat("/proc/self/ns/net", &own) < 0) {
      throw_errno("stat", "/proc/self/ns/net");
    }
    if (stat(network->path.c_str(), &joined) < 0) {
      throw_errno("stat", "config.json: linux.namespaces: " + network->path);
    }
    if (own.st_dev == joined.st_dev && own.st_ino == joined.st_ino) {
      throw Error(ErrorKind::invalid_config,
                  "config.json: linux.sysctl[\"" + key + "\"]: sysctl \"" + key +
                      "\" not allowed in host network namespace, which is what " + network->path +
                      " is; join another one, or remove the sysctl")
          .with_path("linux.sysctl[\"" + key + "\"]");
    }
    return;
  }
}

}  // namespace

std::map<std::size_t, std::string> copied_symlinks(const Spec& spec, const std::string& bundle) {
  std::map<std::size_t, std::string> links;
  for (std::size_t i = 0; i < spec.mounts.size(); ++i) {
    const Mount& mount = spec.mounts[i];
    if (std::ranges::find(mount.options, "copy-symlink") == mount.options.end()) {
      continue;
    }
    std::string target = read_link(absolute_path_in(bundle, mount.source));
    if (!target.empty()) {
      links.emplace(i, std::move(target));
    }
  }
  return links;
}

namespace {

bool is_node_of(const std::string& path, const Device& device) {
  struct stat status{};
  return stat(path.c_str(), &status) == 0 && (status.st_mode & S_IFMT) == type_bits(device.type) &&
         status.st_rdev == device_number(device);
}

/// Returns the node of a device below /dev, by its driver's name for it; empty if there is none.
std::string find_device_node(const Device& device) {
  const std::string uevent = std::string("/sys/dev/") + (device.type == 'b' ? "block/" : "char/") +
                             std::to_string(device.major) + ":" + std::to_string(device.minor) +
                             "/uevent";
  const std::string text = "\n" + read_file_if_exists(AT_FDCWD, uevent).value_or("");
  constexpr std::string_view key = "\nDEVNAME=";
  const std::size_t at = text.find(key);
  if (at == std::string::npos) {
    return {};
  }
  const std::size_t begin = at + key.size();
  std::string path = "/dev/" + text.substr(begin, text.find('\n', begin) - begin);
  return is_node_of(path, device) ? path : std::string();
}

}  // namespace

std::map<std::string, std::string> device_nodes(const Spec& spec, const Host& host) {
  std::map<std::string, std::string> nodes;
  for (const Device& device : spec.linux_.devices) {
    if (!needs_host_node(device, spec, host) || is_node_of(device.path, device)) {
      continue;
    }
    if (std::string path = find_device_node(device); !path.empty()) {
      nodes.emplace(device.path, std::move(path));
    }
  }
  return nodes;
}

namespace {

/// Whether the modes of `path` and all directories on the way let every user pass. Other
/// restrictions show only when a process tries.
bool is_in_reach(const std::string& path) {
  for (std::size_t end = 0; end != std::string::npos;) {
    end = path.find('/', end + 1);
    struct stat status{};
    if (stat(path.substr(0, end).c_str(), &status) < 0 || (status.st_mode & S_IXOTH) == 0) {
      return false;
    }
  }
  return true;
}

}  // namespace

void complete_host(Host& host, const Spec& spec, const Process& process) {
  check_labels(host, process, {}, spec.linux_.mount_label);
  if (host.rootless) {
    check_id_mapped_mounts(spec.mounts);
    if (!spec.linux_.net_devices.empty()) {
      refuse("linux.netDevices",
             "network devices are not supported for rootless containers: to move one needs "
             "CAP_NET_ADMIN on the host; run as root");
    }
  }
  check_net_sysctls(spec);
  host.in_user_namespace = host.rootless || in_user_namespace();
  host.inner_namespaces = find_inner_namespaces(spec);
  host.symlinks = copied_symlinks(spec, host.bundle);
  host.device_nodes = device_nodes(spec, host);
  host.rootfs_in_reach = spec.has_namespace(NamespaceType::user) && !host.rootless &&
                         is_in_reach(absolute_path_in(host.bundle, spec.root.path));
}

bool tolerates_permission_errors(const Runtime& runtime, const Host& host) {
  return runtime.rootless.value_or(host.in_user_namespace);
}

}  // namespace tare

#include <algorithm>

#include "spec/mount_options.h"
#include "tare/fd.h"
#include "validate/sections.h"

namespace tare {

namespace {

bool has_option(const Mount& mount, std::string_view option) {
  return std::find(mount.options.begin(), mount.options.end(), option) != mount.options.end();
}

/// Files below /proc that may be covered: lxcfs replaces them by a container's view. Other files
/// there are read or written on the container's behalf, or masked, and must be the kernel's own.
constexpr std::string_view coverable_proc_files[] = {
    "/proc/cpuinfo",
    "/proc/diskstats",
    "/proc/loadavg",
    "/proc/meminfo",
    "/proc/slabinfo",
    "/proc/stat",
    "/proc/swaps",
    "/proc/sys/crypto/fips_enabled",
    "/proc/sys/kernel/ns_last_pid",
    "/proc/uptime",
};

void check_below_proc(const Mount& mount, bool bind, std::size_t index, Problems& problems) {
  const std::string destination = absolute_path(mount.destination);
  if (destination == "/proc") {
    // Whether a bind mount's source is a procfs is checked when it is opened.
    if (!bind && mount.type != "proc") {
      problems.add(
          element("mounts", index, ".type"),
          "\"/proc\" cannot be mounted because it is not of type proc; set its type to proc");
    }
  } else if (destination.starts_with("/proc/") &&
             std::find(std::begin(coverable_proc_files), std::end(coverable_proc_files),
                       destination) == std::end(coverable_proc_files)) {
    problems.add(
        element("mounts", index, ".destination"),
        quoted(destination) + " cannot be mounted because it is inside /proc; remove the mount");
  }
}

/// Limits: fsconfig(2) takes values of up to 255 bytes; mount(2) takes a page for all options;
/// overlayfs, since Linux 6.5, takes any number of layers of up to 255 bytes each.
void check_lengths(const Mount& mount, std::size_t index, Problems& problems) {
  constexpr std::size_t max_size = 255;
  if (mount.options_size() <= max_mount_data) {
    return;
  }
  for (std::size_t i = 0; i < mount.options.size(); ++i) {
    const std::string& option = mount.options[i];
    const std::string_view value =
        std::string_view(option).substr(std::min(option.find('='), option.size() - 1) + 1);
    std::size_t size = value.size();
    if (mount.type == "overlay" && option.starts_with("lowerdir=")) {
      size = 0;
      for (std::size_t at = 0; at <= value.size();) {
        const std::size_t end = std::min(value.find(':', at), value.size());
        size = std::max(size, end - at);
        at = end + 1;
      }
    }
    if (size > max_size) {
      problems.add_unsupported(
          element(element("mounts", index, ".options"), i),
          std::to_string(size) + " bytes long; the kernel's limit is " + std::to_string(max_size) +
              " if all options together exceed " + std::to_string(max_mount_data) +
              " bytes; shorten its paths, or mount it on the host and bind it");
    }
  }
}

/// The kernel's OVL_MAX_STACK.
void check_layers(const Mount& mount, std::size_t index, Problems& problems) {
  constexpr std::string_view lower = "lowerdir=";
  constexpr std::size_t max = 500;
  if (mount.type != "overlay") {
    return;
  }
  for (std::size_t i = 0; i < mount.options.size(); ++i) {
    const std::string& option = mount.options[i];
    std::size_t layers = 1;
    // "\\:" is a colon in a name; "::" is one separator, before data-only layers.
    for (std::size_t at = lower.size(); option.starts_with(lower) && at < option.size(); ++at) {
      if (option[at] == '\\') {
        ++at;
      } else if (option[at] == ':' && option[at - 1] != ':') {
        ++layers;
      }
    }
    if (layers > max) {
      problems.add(
          element(element("mounts", index, ".options"), i),
          std::to_string(layers) + " layers; the limit of overlayfs is " + std::to_string(max));
    }
  }
}

/// The kernel would ignore file system options in a bind mount, which creates no file system.
void check_bind_options(const Mount& mount, std::size_t index, Problems& problems) {
  for (std::size_t i = 0; i < mount.options.size(); ++i) {
    const std::string& option = mount.options[i];
    // "key=value" is a file system option, and causes a warning only. A bare word may be a misspelt
    // "nosuid".
    if (!option.empty() && option.find('=') == std::string::npos && !is_mount_option(option)) {
      problems.add(
          element(element("mounts", index, ".options"), i),
          "invalid mount option " + quoted(option) +
              ": bind mounts cannot have any filesystem-specific options applied; remove it");
    }
  }
}

void check_copy_up(const Mount& mount, bool bind, std::size_t index, Problems& problems) {
  const auto option = std::find(mount.options.begin(), mount.options.end(), "tmpcopyup");
  if (option != mount.options.end() && (bind || mount.type != "tmpfs")) {
    problems.add(element(element("mounts", index, ".options"),
                         static_cast<std::size_t>(option - mount.options.begin())),
                 "\"tmpcopyup\" fills a tmpfs; give the mount the type \"tmpfs\", or remove it");
  }
}

void check_copy_symlink(const Mount& mount, bool bind, std::size_t index, Problems& problems) {
  const auto option = std::find(mount.options.begin(), mount.options.end(), "copy-symlink");
  if (option == mount.options.end()) {
    return;
  }
  const std::string path = element(element("mounts", index, ".options"),
                                   static_cast<std::size_t>(option - mount.options.begin()));
  if (!bind) {
    problems.add(path, "\"copy-symlink\" is about the source of a bind mount; remove it");
  } else if (has_option(mount, "src-nofollow") || has_option(mount, "dest-nofollow")) {
    problems.add(path,
                 "\"copy-symlink\" excludes \"src-nofollow\" and \"dest-nofollow\"; remove one");
  }
}

/// Checks the options that restrict the lookup of a bind mount's source.
void check_source_options(const Mount& mount, bool bind, std::size_t index, Problems& problems) {
  constexpr std::string_view within = "src-within";
  for (std::size_t i = 0; i < mount.options.size(); ++i) {
    const std::string_view option = mount.options[i];
    const std::string_view name = option.substr(0, option.find('='));
    if (name != within && option != "src-no-symlinks") {
      continue;
    }
    const std::string path = element(element("mounts", index, ".options"), i);
    if (!bind) {
      problems.add(path, quoted(name) + " is about the source of a bind mount; remove it");
    } else if (name == within) {
      if (!option.substr(name.size()).starts_with("=/")) {
        problems.add(path,
                     "\"src-within\" needs the absolute path of a directory; write "
                     "src-within=/DIRECTORY");
      }
      if (mount.source.starts_with('/')) {
        problems.add(element("mounts", index, ".source"),
                     "must be relative to the directory of \"src-within\"");
      }
    }
  }
}

/// config.md "Idmapped mounts".
void check_id_mapping(const Mount& mount, const Spec& spec, bool bind, std::size_t index,
                      Problems& problems) {
  const bool given = !mount.uid_mappings.empty() || !mount.gid_mappings.empty();
  const auto option =
      std::find_if(mount.options.begin(), mount.options.end(),
                   [](const std::string& word) { return word == "idmap" || word == "ridmap"; });
  if (!given && option == mount.options.end()) {
    return;
  }
  const std::string path =
      option == mount.options.end()
          ? element("mounts", index, mount.uid_mappings.empty() ? ".gidMappings" : ".uidMappings")
          : element(element("mounts", index, ".options"),
                    static_cast<std::size_t>(option - mount.options.begin()));
  if (!bind) {
    problems.add(path,
                 "id-mapped mounts are only supported for bind-mounts; bind a directory of the "
                 "host, or remove it");
  } else if (given && (mount.uid_mappings.empty() || mount.gid_mappings.empty())) {
    problems.add(
        element("mounts", index, mount.uid_mappings.empty() ? ".uidMappings" : ".gidMappings"),
        "is missing; id-mapped mounts must have both uid and gid mappings specified");
  } else if (!given && !spec.has_namespace(NamespaceType::user)) {
    problems.add(path,
                 "id-mapped mounts must have both uid and gid mappings specified; give the mount "
                 "uidMappings and gidMappings, or the container a user namespace");
  }
  check_mappings(mount.uid_mappings, element("mounts", index, ".uidMappings"), problems);
  check_mappings(mount.gid_mappings, element("mounts", index, ".gidMappings"), problems);
}

/// Checks a first mount that is the container's root, instead of root.path.
void check_root_mount(const Mount& mount, const Spec& spec, std::size_t index, Problems& problems) {
  constexpr std::string_view kernel_interfaces[] = {"proc",    "sysfs",  "cgroup",
                                                    "cgroup2", "mqueue", "devpts"};
  const std::string destination = element("mounts", index, ".destination");
  if (has_option(mount, "remount")) {
    problems.add(destination,
                 "is the root itself, which is not remounted; set root.readonly, or give the "
                 "mount that is the root these options");
  } else if (index > 0) {
    problems.add(destination,
                 "is the root itself, which only the first mount can be; make it mounts[0]");
  } else if (!spec.makes_namespace(NamespaceType::mount)) {
    problems.add(destination,
                 "is the root itself, which is mounted in a new mount namespace only; add "
                 "{\"type\": \"mount\"} to linux.namespaces");
  } else if (std::ranges::find(kernel_interfaces, mount.type) != std::end(kernel_interfaces)) {
    problems.add(
        element("mounts", index, ".type"),
        "\"/\" cannot be of type " + mount.type +
            "; give it a file system for programs, such as tmpfs, overlay or a bind mount");
  } else if (has_option(mount, "copy-symlink")) {
    problems.add(element("mounts", index, ".options"),
                 "\"copy-symlink\" would make \"/\" a symlink; remove it");
  }
}

void check_mount(const Mount& mount, const Spec& spec, std::size_t index, Problems& problems) {
  const bool bind = mount.type == "bind" || has_option(mount, "bind") || has_option(mount, "rbind");
  if (mount.destination.empty()) {
    problems.add(element("mounts", index, ".destination"),
                 "must not be empty; give an absolute path");
    return;
  }
  if (absolute_path(mount.destination) == "/") {
    check_root_mount(mount, spec, index, problems);
  }
  if (bind && mount.source.empty()) {
    problems.add(element("mounts", index, ".source"),
                 "is missing; name the file or directory to bind");
  }
  if (!bind && mount.type.empty() && !has_option(mount, "remount")) {
    problems.add(element("mounts", index, ".type"),
                 "is missing; name the filesystem, or add the option \"bind\"");
  }
  check_id_mapping(mount, spec, bind, index, problems);
  if (bind) {
    check_bind_options(mount, index, problems);
  } else {
    check_lengths(mount, index, problems);
    check_layers(mount, index, problems);
  }
  check_copy_up(mount, bind, index, problems);
  check_copy_symlink(mount, bind, index, problems);
  check_source_options(mount, bind, index, problems);
  check_below_proc(mount, bind, index, problems);
}

/// Checks a mount that is added to a running container. init makes it in the container's mount
/// namespace, so paths in a file system's options (a device, the layers of an overlay) would be
/// looked up in the container. It does not join the container's pid and network namespaces, so a
/// procfs or sysfs would show the host's.
void check_further_mount(const Mount& mount, std::size_t index, Problems& problems) {
  const MountOptions options = read_mount_options(mount);
  const std::string destination = absolute_path(mount.destination);
  if (!options.bind && !options.remount && mount.type != "tmpfs") {
    problems.add_unsupported(
        element("mounts", index, ".type"),
        quoted(mount.type) +
            " cannot be added to a running container, only bind mounts and tmpfs can; mount it on "
            "the host and bind-mount it");
  }
  for (const char* word : {"remount", "copy-symlink"}) {
    const auto option = std::find(mount.options.begin(), mount.options.end(), word);
    if (option != mount.options.end()) {
      problems.add_unsupported(
          element(element("mounts", index, ".options"),
                  static_cast<std::size_t>(option - mount.options.begin())),
          quoted(word) + " does not make a mount, and only mounts can be added; remove it");
    }
  }
  if (destination == "/") {
    problems.add(element("mounts", index, ".destination"),
                 "is the root itself, which cannot be replaced in a running container; name a "
                 "directory or file below it");
  }
  if (destination == "/proc" || destination == "/sys") {
    problems.add(
        element("mounts", index, ".destination"),
        quoted(destination) +
            " cannot be covered in a running container: masked paths would be visible again; "
            "choose another destination");
  }
}

}  // namespace

void check_further_mounts(const Spec& spec, Problems& problems) {
  // The maximum number of descriptors in one message.
  constexpr std::size_t max = 48;
  if (!spec.makes_namespace(NamespaceType::mount)) {
    problems.add_unsupported("mounts",
                             "the container has no mount namespace of its own, so the mounts would "
                             "appear outside; give it "
                             "one (linux.namespaces)");
  }
  if (spec.mounts.size() > max) {
    problems.add_unsupported("mounts", std::to_string(spec.mounts.size()) +
                                           " mounts; the limit of one call is " +
                                           std::to_string(max));
  }
  for (std::size_t i = 0; i < spec.mounts.size(); ++i) {
    check_further_mount(spec.mounts[i], i, problems);
  }
}

void check_mounts(const Spec& spec, Problems& problems) {
  for (std::size_t i = 0; i < spec.mounts.size(); ++i) {
    check_mount(spec.mounts[i], spec, i, problems);
  }
  if (spec.has_namespace(NamespaceType::mount)) {
    return;
  }
  constexpr const char* advice =
      " without a private MNT namespace; add {\"type\": \"mount\"} to linux.namespaces";
  // The root of a new user namespace may not mount in the caller's mount namespace.
  const bool may_mount = !spec.has_namespace(NamespaceType::user);
  if (!may_mount && !spec.mounts.empty()) {
    problems.add("mounts", std::string("unable to mount") + advice);
  }
  if (!may_mount && spec.root.readonly) {
    problems.add("root.readonly", std::string("unable to make the root read-only") + advice);
  }
  if (!spec.linux_.rootfs_propagation.empty()) {
    problems.add("linux.rootfsPropagation",
                 std::string("unable to change the root's propagation") + advice);
  }
  if (!spec.linux_.masked_paths.empty()) {
    problems.add("linux.maskedPaths", std::string("unable to restrict sys entries") + advice);
  }
  if (!spec.linux_.readonly_paths.empty()) {
    problems.add("linux.readonlyPaths", std::string("unable to restrict sys entries") + advice);
  }
}

}  // namespace tare

#include <algorithm>

#include "tare/fd.h"
#include "validate_sections.h"

namespace tare {

namespace {

bool has_option(const Mount& mount, std::string_view option) {
  return std::find(mount.options.begin(), mount.options.end(), option) != mount.options.end();
}

/// Files below /proc that may be covered: lxcfs gives them a container's view. Everything else
/// there is read or written on the container's behalf, or masked, and has to be the kernel's own.
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
    // Whether a bind mount's source is a procfs is seen when it is opened.
    if (!bind && mount.type != "proc") {
      problems.add(element("mounts", index, ".type"),
                   "\"/proc\" cannot be mounted because it is not of type proc; make it so");
    }
  } else if (destination.starts_with("/proc/") &&
             std::find(std::begin(coverable_proc_files), std::end(coverable_proc_files),
                       destination) == std::end(coverable_proc_files)) {
    problems.add(element("mounts", index, ".destination"),
                 quoted(destination) + " cannot be mounted because it is inside /proc; remove it");
  }
}

/// fsconfig(2) takes strings of up to 255 bytes, where the one string of mount(2) may have a page.
void check_lengths(const Mount& mount, std::size_t index, Problems& problems) {
  constexpr std::size_t longest = 255;
  const auto check = [&](const std::string& place, std::size_t size) {
    if (size > longest) {
      problems.add_unsupported(place, std::to_string(size) +
                                          " bytes long; the kernel takes at most " +
                                          std::to_string(longest) +
                                          " for one value; shorten its paths, or mount it on the "
                                          "host and bind it");
    }
  };
  check(element("mounts", index, ".source"), mount.source.size());
  for (std::size_t i = 0; i < mount.options.size(); ++i) {
    const std::size_t equals = mount.options[i].find('=');
    check(element(element("mounts", index, ".options"), i),
          equals == std::string::npos ? 0 : mount.options[i].size() - equals - 1);
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
  const std::string place =
      option == mount.options.end()
          ? element("mounts", index, mount.uid_mappings.empty() ? ".gidMappings" : ".uidMappings")
          : element(element("mounts", index, ".options"),
                    static_cast<std::size_t>(option - mount.options.begin()));
  if (!bind) {
    problems.add(place,
                 "id-mapped mounts are only supported for bind-mounts; bind a directory of the "
                 "host, or remove it");
  } else if (given && (mount.uid_mappings.empty() || mount.gid_mappings.empty())) {
    problems.add(
        element("mounts", index, mount.uid_mappings.empty() ? ".uidMappings" : ".gidMappings"),
        "is missing; id-mapped mounts must have both uid and gid mappings specified");
  } else if (!given && !spec.has_namespace(NamespaceType::user)) {
    problems.add(place,
                 "id-mapped mounts must have both uid and gid mappings specified; give the mount "
                 "uidMappings and gidMappings, or the container a user namespace");
  }
  check_mappings(mount.uid_mappings, element("mounts", index, ".uidMappings"), problems);
  check_mappings(mount.gid_mappings, element("mounts", index, ".gidMappings"), problems);
}

void check_mount(const Mount& mount, const Spec& spec, std::size_t index, Problems& problems) {
  const bool bind = mount.type == "bind" || has_option(mount, "bind") || has_option(mount, "rbind");
  if (mount.destination.empty()) {
    problems.add(element("mounts", index, ".destination"),
                 "must not be empty; give an absolute path");
    return;
  }
  if (absolute_path(mount.destination) == "/") {
    problems.add(element("mounts", index, ".destination"),
                 "is the root itself; the root filesystem is root.path's");
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
  if (!bind) {
    check_lengths(mount, index, problems);
  }
  check_below_proc(mount, bind, index, problems);
}

}  // namespace

void check_mounts(const Spec& spec, Problems& problems) {
  for (std::size_t i = 0; i < spec.mounts.size(); ++i) {
    check_mount(spec.mounts[i], spec, i, problems);
  }
  if (spec.has_namespace(NamespaceType::mount)) {
    return;
  }
  constexpr const char* advice =
      " without a private MNT namespace; add {\"type\": \"mount\"} to linux.namespaces";
  if (!spec.mounts.empty()) {
    problems.add("mounts", std::string("unable to mount") + advice);
  }
  if (spec.root.readonly) {
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

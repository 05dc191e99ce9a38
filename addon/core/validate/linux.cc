#include <unistd.h>

#include <algorithm>
#include <limits>
#include <set>

#include "tare/fd.h"
#include "validate/sections.h"

namespace tare {

namespace {

/// Whether the ranges [a, a + size_a) and [b, b + size_b) overlap.
bool overlap(std::uint32_t a, std::uint32_t size_a, std::uint32_t b, std::uint32_t size_b) {
  return a < b ? b - a < size_a : a - b < size_b;
}

}  // namespace

void check_mappings(const std::vector<IdMapping>& mappings, const std::string& list,
                    Problems& problems) {
  constexpr std::size_t max = 340;
  constexpr std::uint32_t last = std::numeric_limits<std::uint32_t>::max();
  if (mappings.size() > max) {
    problems.add(list, std::to_string(mappings.size()) + " mappings; the kernel's limit is " +
                           std::to_string(max));
    return;
  }
  // The kernel requires one write(2) of less than a page.
  const std::size_t max_size = static_cast<std::size_t>(sysconf(_SC_PAGESIZE)) - 1;
  if (const std::size_t size = id_map_text(mappings).size(); size > max_size) {
    problems.add(list, std::to_string(mappings.size()) + " mappings are " + std::to_string(size) +
                           " characters long; the kernel's limit is " + std::to_string(max_size) +
                           "; give fewer and larger ones");
    return;
  }
  for (std::size_t i = 0; i < mappings.size(); ++i) {
    const IdMapping& mapping = mappings[i];
    if (mapping.size == 0) {
      problems.add(element(list, i, ".size"), "must not be 0; give the number of ids to map");
      continue;
    }
    // 4294967295 is not a valid id.
    if (mapping.size > last - mapping.container_id || mapping.size > last - mapping.host_id) {
      problems.add(element(list, i, ".size"),
                   std::to_string(mapping.size) + " ids reach beyond 4294967294, the last id");
    }
    for (std::size_t j = 0; j < i; ++j) {
      const IdMapping& other = mappings[j];
      if (overlap(mapping.container_id, mapping.size, other.container_id, other.size)) {
        problems.add(element(list, i, ".containerID"),
                     "overlaps the container ids of " + element(list, j));
      } else if (overlap(mapping.host_id, mapping.size, other.host_id, other.size)) {
        problems.add(element(list, i, ".hostID"), "overlaps the host ids of " + element(list, j));
      }
    }
  }
}

namespace {

void check_namespaces(const std::vector<Namespace>& namespaces, Problems& problems) {
  unsigned seen = 0;
  for (std::size_t i = 0; i < namespaces.size(); ++i) {
    const Namespace& entry = namespaces[i];
    const unsigned bit = 1U << static_cast<unsigned>(entry.type);
    if ((seen & bit) != 0) {
      problems.add(element("linux.namespaces", i, ".type"),
                   quoted(namespace_name(entry.type)) + " appears twice; keep one");
    }
    seen |= bit;
    if (!entry.path.empty()) {
      check_absolute(entry.path, element("linux.namespaces", i, ".path"), problems);
    }
  }
}

void check_user_namespace(const Spec& spec, Problems& problems) {
  const Linux& config = spec.linux_;
  const std::pair<const char*, const std::vector<IdMapping>*> lists[] = {
      {"linux.uidMappings", &config.uid_mappings}, {"linux.gidMappings", &config.gid_mappings}};
  // Without mappings, the caller becomes the namespace's root.
  const bool no_mappings = config.uid_mappings.empty() && config.gid_mappings.empty();
  for (const auto& [list, mappings] : lists) {
    if (!mappings->empty() && !spec.has_namespace(NamespaceType::user)) {
      problems.add(list,
                   "user namespace mappings specified, but user namespace isn't enabled in the "
                   "config; add {\"type\": \"user\"} to linux.namespaces, or remove the mappings");
    } else if (mappings->empty() && !no_mappings && spec.makes_namespace(NamespaceType::user)) {
      problems.add(list, "is missing; give a new user namespace both kinds of mappings, or none");
    }
    check_mappings(*mappings, list, problems);
  }
}

void check_devices(const std::vector<Device>& devices, Problems& problems) {
  // The kernel's dev_t: 12 bits of major number, 20 of minor.
  constexpr std::int64_t last_major = 0xfff;
  constexpr std::int64_t last_minor = 0xfffff;
  std::set<std::string> paths;
  for (std::size_t i = 0; i < devices.size(); ++i) {
    const Device& device = devices[i];
    if (!is_absolute(device.path)) {
      check_absolute(device.path, element("linux.devices", i, ".path"), problems);
    } else if (std::string path = absolute_path(device.path); path == "/") {
      problems.add(element("linux.devices", i, ".path"),
                   "is the root directory; name a device file");
    } else if (!paths.insert(std::move(path)).second) {
      problems.add(element("linux.devices", i, ".path"), "appears twice, as two devices; keep one");
    }
    if (device.type != 'p' && (device.major < 0 || device.major > last_major)) {
      problems.add(element("linux.devices", i, ".major"),
                   std::to_string(device.major) + " is not in the range 0 to 4095");
    }
    if (device.type != 'p' && (device.minor < 0 || device.minor > last_minor)) {
      problems.add(element("linux.devices", i, ".minor"),
                   std::to_string(device.minor) + " is not in the range 0 to 1048575");
    }
  }
}

/// The kernel's dev_valid_name().
bool is_device_name(std::string_view name) {
  constexpr std::size_t max_size = 15;  // IFNAMSIZ without the NUL
  return !name.empty() && name.size() <= max_size && name != "." && name != ".." &&
         name.find_first_of("/: \t\n\v\f\r") == std::string_view::npos;
}

void check_net_devices(const Spec& spec, Problems& problems) {
  const auto& devices = spec.linux_.net_devices;
  if (!devices.empty() && !spec.has_namespace(NamespaceType::network)) {
    problems.add("linux.netDevices",
                 "unable to move network devices without a NET namespace; add {\"type\": "
                 "\"network\"} to linux.namespaces");
  }
  std::set<std::string> names;
  for (const auto& [name, device] : devices) {
    const std::string path = member("linux.netDevices", name);
    for (const std::string& one : {name, device.name.empty() ? name : device.name}) {
      if (!is_device_name(one)) {
        problems.add(path, "invalid network device name " + quoted(one) +
                               "; use 1 to 15 bytes without \"/\", \":\" and spaces");
        break;
      }
    }
    const std::string& wanted = device.name.empty() ? name : device.name;
    const std::size_t percent = wanted.find('%');
    if (percent != std::string::npos && (wanted.compare(percent, 2, "%d") != 0 ||
                                         wanted.find('%', percent + 1) != std::string::npos)) {
      problems.add(path, "invalid network device name " + quoted(wanted) +
                             "; a template has one \"%d\", and no other \"%\"");
    } else if (percent == std::string::npos && !names.insert(wanted).second) {
      problems.add(
          path, "another device gets the name " + quoted(wanted) + ", too; give this one another");
    }
  }
}

void check_paths(const std::vector<std::string>& paths, const char* list, Problems& problems) {
  for (std::size_t i = 0; i < paths.size(); ++i) {
    if (!is_absolute(paths[i])) {
      check_absolute(paths[i], element(list, i), problems);
    }
  }
}

void check_masked_root(const std::vector<std::string>& paths, Problems& problems) {
  for (std::size_t i = 0; i < paths.size(); ++i) {
    if (is_absolute(paths[i]) && absolute_path(paths[i]) == "/") {
      problems.add(element("linux.maskedPaths", i),
                   "must not be the root directory; name a path below it");
    }
  }
}

void check_propagation(const std::string& propagation, Problems& problems) {
  constexpr std::string_view known[] = {"shared",  "slave",  "private",  "unbindable",
                                        "rshared", "rslave", "rprivate", "runbindable"};
  if (!propagation.empty() &&
      std::find(std::begin(known), std::end(known), propagation) == std::end(known)) {
    problems.add("linux.rootfsPropagation",
                 "rootfsPropagation=" + propagation +
                     " is not supported; use one of shared, slave, private, unbindable, rshared, "
                     "rslave, rprivate, runbindable");
  }
}

void check_cgroups_path(const std::string& path, Problems& problems) {
  for (std::size_t at = 0; at <= path.size();) {
    const std::size_t end = std::min(path.find('/', at), path.size());
    if (std::string_view(path).substr(at, end - at) == "..") {
      problems.add("linux.cgroupsPath", quoted(path) + " must not contain \"..\"");
      return;
    }
    at = end + 1;
  }
}

void check_schema(const std::string& schema, const std::string& path, Problems& problems) {
  if (schema.find('\n') != std::string::npos) {
    problems.add(path, quoted(schema) + " contains a line break; write one line");
  }
}

void check_intel_rdt(const IntelRdt& rdt, Problems& problems) {
  const std::string& id = rdt.clos_id;
  if (id == "." || id == ".." || (id.size() > 1 && id.find('/') != std::string::npos) ||
      id.find('\n') != std::string::npos) {
    problems.add("linux.intelRdt.closID",
                 "invalid intelRdt.ClosID " + quoted(id) +
                     "; name a directory of the resctrl file system, or / for its root");
  }
  // The kernel's own directories beside groups in the root.
  for (const char* reserved : {"info", "mon_groups", "mon_data"}) {
    if (id == reserved) {
      problems.add("linux.intelRdt.closID", "invalid group name " + quoted(id) +
                                                ", which the kernel uses; choose another one");
    }
  }
  check_schema(rdt.l3_cache_schema, "linux.intelRdt.l3CacheSchema", problems);
  check_schema(rdt.mem_bw_schema, "linux.intelRdt.memBwSchema", problems);
  if (!rdt.mem_bw_schema.empty() && !rdt.mem_bw_schema.starts_with("MB:")) {
    problems.add("linux.intelRdt.memBwSchema",
                 quoted(rdt.mem_bw_schema) + " must begin with MB:, such as \"MB:0=20;1=70\"");
  }
  for (std::size_t i = 0; i < rdt.schemata.size(); ++i) {
    check_schema(rdt.schemata[i], element("linux.intelRdt.schemata", i), problems);
  }
}

void check_mount_label(const std::string& label, Problems& problems) {
  if (std::any_of(label.begin(), label.end(),
                  [](char c) { return static_cast<unsigned char>(c) < ' ' || c == '"'; })) {
    problems.add("linux.mountLabel",
                 quoted(label) + " contains a quotation mark or control character; remove it");
  }
}

}  // namespace

void check_linux(const Spec& spec, Problems& problems) {
  const Linux& config = spec.linux_;
  check_namespaces(config.namespaces, problems);
  check_user_namespace(spec, problems);
  check_devices(config.devices, problems);
  check_net_devices(spec, problems);
  check_cgroups_path(config.cgroups_path, problems);
  check_resources(config.resources, problems);
  check_sysctl(spec, problems);
  if (config.seccomp) {
    check_seccomp(*config.seccomp, problems);
  }
  check_propagation(config.rootfs_propagation, problems);
  check_paths(config.masked_paths, "linux.maskedPaths", problems);
  check_masked_root(config.masked_paths, problems);
  check_paths(config.readonly_paths, "linux.readonlyPaths", problems);
  check_mount_label(config.mount_label, problems);
  if (config.memory_policy) {
    check_memory_policy(*config.memory_policy, problems);
  }
  check_time_offsets(spec, problems);
  if (config.intel_rdt) {
    check_intel_rdt(*config.intel_rdt, problems);
  }
}

}  // namespace tare

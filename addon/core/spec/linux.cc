#include <sched.h>

#include <algorithm>
#include <array>

#include "json/fields.h"
#include "json/json.h"
#include "spec/sections.h"
#include "tare/spec.h"

// Missing in the sched.h of some C libraries.
#ifndef CLONE_NEWTIME
#define CLONE_NEWTIME 0x00000080
#endif

namespace tare {

using json::Field;
using json::read_entries;
using json::read_fields;
using json::read_member;
using json::required;

static void read(Device& device, const json::Value& value);
static void read(IntelRdt& rdt, const json::Value& value);

namespace {

struct NamespaceWords {
  const char* name;
  const char* proc_name;
  std::uint64_t clone_flag;
};

/// In the order of NamespaceType.
constexpr std::array<NamespaceWords, namespace_type_count> namespace_table = {{
    {"pid", "pid", CLONE_NEWPID},
    {"network", "net", CLONE_NEWNET},
    {"mount", "mnt", CLONE_NEWNS},
    {"ipc", "ipc", CLONE_NEWIPC},
    {"uts", "uts", CLONE_NEWUTS},
    {"user", "user", CLONE_NEWUSER},
    {"cgroup", "cgroup", CLONE_NEWCGROUP},
    {"time", "time", CLONE_NEWTIME},
}};

const NamespaceWords& words_of(NamespaceType type) {
  return namespace_table[static_cast<std::size_t>(type)];
}

void read_namespace_type(Namespace& target, const json::Value& value) {
  const std::string_view name = value.as_string();
  const auto found =
      std::find_if(namespace_table.begin(), namespace_table.end(),
                   [name](const NamespaceWords& words) { return words.name == name; });
  if (found == namespace_table.end()) {
    std::vector<std::string_view> names;
    for (const NamespaceWords& words : namespace_table) {
      names.push_back(words.name);
    }
    json::fail_unknown(value, "namespace type", names);
  }
  target.type = static_cast<NamespaceType>(found - namespace_table.begin());
}

constexpr Field<Namespace> namespace_fields[] = {
    {"type", read_namespace_type, required},
    {"path", read_member<&Namespace::path>},
};

constexpr Field<IdMapping> mapping_fields[] = {
    {"containerID", read_member<&IdMapping::container_id>, required},
    {"hostID", read_member<&IdMapping::host_id>, required},
    {"size", read_member<&IdMapping::size>, required},
};

void read_device_type(Device& device, const json::Value& value) {
  const std::string_view type = value.as_string();
  if (type.size() != 1 || std::string_view("cbup").find(type) == std::string_view::npos) {
    json::fail_unknown(value, "device type", {"c", "b", "u", "p"});
  }
  // mknod(1): u is a synonym of c.
  device.type = type == "u" ? 'c' : type.front();
}

/// Engines write the full st_mode of a host device, including the type bits.
void read_file_mode(Device& device, const json::Value& value) {
  constexpr std::uint32_t permission_bits = 07777;
  constexpr std::uint32_t mode_bits = 0177777;
  const std::uint32_t mode = value.as_uint32();
  if (mode > mode_bits) {
    value.fail("invalid file mode " + std::to_string(mode) +
               "; give the permission bits in decimal, e.g. 438 for 0666");
  }
  device.file_mode = mode & permission_bits;
}

constexpr Field<Device> device_fields[] = {
    {"path", read_member<&Device::path>, required},
    {"type", read_device_type, required},
    {"major", read_member<&Device::major>},
    {"minor", read_member<&Device::minor>},
    {"fileMode", read_file_mode},
    {"uid", read_member<&Device::uid>},
    {"gid", read_member<&Device::gid>},
};

/// Engines list a device twice if the user specified it twice; accept equal duplicates.
void read_devices(Linux& target, const json::Value& value) {
  json::check_count(value);
  value.for_each_element([&devices = target.devices](const json::Value& element) {
    Device device;
    read(device, element);
    const auto other =
        std::find_if(devices.begin(), devices.end(),
                     [&device](const Device& earlier) { return earlier.path == device.path; });
    if (other == devices.end()) {
      devices.push_back(std::move(device));
    } else if (other->type != device.type || other->major != device.major ||
               other->minor != device.minor) {
      element.at("path").fail("appears twice, as two devices; keep one");
    }
  });
}

constexpr Field<SeccompArg> seccomp_arg_fields[] = {
    {"index", read_member<&SeccompArg::index>, required},
    {"value", read_member<&SeccompArg::value>, required},
    {"valueTwo", read_member<&SeccompArg::value_two>},
    {"op", read_member<&SeccompArg::op>, required},
};

constexpr Field<SeccompSyscall> seccomp_syscall_fields[] = {
    {"names", read_member<&SeccompSyscall::names>, required},
    {"action", read_member<&SeccompSyscall::action>, required},
    {"errnoRet", read_member<&SeccompSyscall::errno_ret>},
    {"args", read_member<&SeccompSyscall::args>},
};

constexpr Field<Seccomp> seccomp_fields[] = {
    {"defaultAction", read_member<&Seccomp::default_action>},
    {"defaultErrnoRet", read_member<&Seccomp::default_errno_ret>},
    {"architectures", read_member<&Seccomp::architectures>},
    {"flags", read_member<&Seccomp::flags>},
    {"listenerPath", read_member<&Seccomp::listener_path>},
    {"listenerMetadata", read_member<&Seccomp::listener_metadata>},
    {"syscalls", read_member<&Seccomp::syscalls>},
};

constexpr Field<IntelRdt> intel_rdt_fields[] = {
    {"closID", read_member<&IntelRdt::clos_id>},
    {"l3CacheSchema", read_member<&IntelRdt::l3_cache_schema>},
    {"memBwSchema", read_member<&IntelRdt::mem_bw_schema>},
    {"schemata", read_entries<&IntelRdt::schemata>},
    {"enableMonitoring", read_member<&IntelRdt::enable_monitoring>},
};

/// Engines express "no seccomp" as a profile with neither a default action nor rules.
void read_seccomp(Linux& target, const json::Value& value) {
  read(target.seccomp.emplace(), value);
  if (target.seccomp->default_action.empty()) {
    if (!target.seccomp->syscalls.empty()) {
      value.fail_missing("defaultAction");
    }
    target.seccomp.reset();
  }
}

void read_time_offsets(Linux& target, const json::Value& value) {
  read(target.time_offsets, value);
}

constexpr Field<NetDevice> net_devices_fields[] = {
    {"name", read_member<&NetDevice::name>},
};

void read_net_devices(Linux& target, const json::Value& value) {
  json::check_count(value);
  value.for_each_member([&target](std::string_view key, const json::Value& member) {
    json::check_key(key, member);
    auto& [name, device] = target.net_devices.emplace_back();
    name = key;
    if (!member.is_null()) {
      read_fields(device, member, net_devices_fields);
    }
  });
}

constexpr Field<Linux> linux_fields[] = {
    {"uidMappings", read_member<&Linux::uid_mappings>},
    {"gidMappings", read_member<&Linux::gid_mappings>},
    {"sysctl", read_member<&Linux::sysctl>},
    {"resources", read_member<&Linux::resources>},
    {"cgroupsPath", read_member<&Linux::cgroups_path>},
    {"namespaces", read_member<&Linux::namespaces>},
    {"devices", read_devices},
    {"seccomp", read_seccomp},
    {"rootfsPropagation", read_member<&Linux::rootfs_propagation>},
    {"maskedPaths", read_entries<&Linux::masked_paths>},
    {"readonlyPaths", read_entries<&Linux::readonly_paths>},
    {"mountLabel", read_member<&Linux::mount_label>},
    {"netDevices", read_net_devices},
    {"intelRdt", read_member<&Linux::intel_rdt>},
    {"memoryPolicy", read_member<&Linux::memory_policy>},
    {"personality", read_member<&Linux::personality>},
    {"timeOffsets", read_time_offsets},
};

}  // namespace

static void read(Namespace& target, const json::Value& value) {
  read_fields(target, value, namespace_fields);
}

std::string id_map_text(const std::vector<IdMapping>& mappings) {
  std::string text;
  for (const IdMapping& mapping : mappings) {
    text += std::to_string(mapping.container_id) + " " + std::to_string(mapping.host_id) + " " +
            std::to_string(mapping.size) + "\n";
  }
  return text;
}

void read(IdMapping& mapping, const json::Value& value) {
  read_fields(mapping, value, mapping_fields);
}

static void read(Device& device, const json::Value& value) {
  read_fields(device, value, device_fields);
  for (const std::string_view number : {"major", "minor"}) {
    if (device.type != 'p' && !value.find(number)) {
      value.fail_missing(number);
    }
  }
}

static void read(SeccompArg& arg, const json::Value& value) {
  read_fields(arg, value, seccomp_arg_fields);
}

static void read(SeccompSyscall& syscall, const json::Value& value) {
  read_fields(syscall, value, seccomp_syscall_fields);
}

void read(Seccomp& seccomp, const json::Value& value) {
  read_fields(seccomp, value, seccomp_fields);
}

static void read(IntelRdt& rdt, const json::Value& value) {
  read_fields(rdt, value, intel_rdt_fields);
}

bool reads_linux(std::string_view field) {
  constexpr std::string_view rdt = "intelRdt.";
  return field.starts_with(rdt) ? json::reads(intel_rdt_fields, field.substr(rdt.size()))
                                : json::reads(linux_fields, field);
}

void read(Linux& target, const json::Value& value) { read_fields(target, value, linux_fields); }

const char* namespace_name(NamespaceType type) noexcept { return words_of(type).name; }
const char* namespace_proc_name(NamespaceType type) noexcept { return words_of(type).proc_name; }
std::uint64_t namespace_clone_flag(NamespaceType type) noexcept {
  return words_of(type).clone_flag;
}

}  // namespace tare

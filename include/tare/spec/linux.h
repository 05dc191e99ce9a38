/// \file
/// `linux` of config.json: namespaces, id mappings, devices and what else only Linux has.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tare/spec/resources.h"
#include "tare/spec/seccomp.h"

namespace tare {

struct IdMapping {
  std::uint32_t container_id = 0;
  std::uint32_t host_id = 0;
  std::uint32_t size = 0;
};
/// Returns the mappings in the kernel's format: uid_map in user_namespaces(7).
std::string id_map_text(const std::vector<IdMapping>& mappings);

enum class NamespaceType : std::uint8_t { pid, network, mount, ipc, uts, user, cgroup, time };
inline constexpr int namespace_type_count = 8;
/// The spec's word: "pid", "network", …
const char* namespace_name(NamespaceType type) noexcept;
/// The CLONE_NEW* flag of clone(2).
std::uint64_t namespace_clone_flag(NamespaceType type) noexcept;
/// The file under /proc/PID/ns/: "pid", "net", "mnt", …
const char* namespace_proc_name(NamespaceType type) noexcept;

struct Namespace {
  NamespaceType type = NamespaceType::pid;
  std::string path;  ///< empty: a new namespace; else the one to join
};

/// A network device of the host that is moved into the container.
struct NetDevice {
  std::string name;  ///< in the container (the kernel replaces "%d" by a number); empty: unchanged
};

struct Device {
  std::string path;
  char type = 'c';  ///< 'c' (and 'u'), 'b' or 'p' (FIFO)
  std::int64_t major = 0;
  std::int64_t minor = 0;
  std::optional<std::uint32_t> file_mode;  ///< permission bits only
  std::optional<std::uint32_t> uid;
  std::optional<std::uint32_t> gid;
};

struct Personality {
  std::uint64_t domain = 0;  ///< PER_* of personality(2)
};

/// The offset of one clock of a new time namespace, time_namespaces(7).
struct TimeOffset {
  std::string clock;  ///< "monotonic" or "boottime"
  std::int64_t secs = 0;
  std::uint32_t nanosecs = 0;
};

/// set_mempolicy(2).
struct MemoryPolicy {
  int mode = 0;             ///< MPOL_*
  std::string nodes;        ///< a list as in `number_mask`
  std::uint32_t flags = 0;  ///< MPOL_F_*
};

/// linux.intelRdt: a group of the resctrl file system (resctrl.h).
struct IntelRdt {
  std::string clos_id;  ///< empty: a group of the container's own; "/": the root group
  std::string l3_cache_schema;
  std::string mem_bw_schema;
  std::vector<std::string> schemata;
  bool enable_monitoring = false;
};

struct Linux {
  std::vector<IdMapping> uid_mappings;
  std::vector<IdMapping> gid_mappings;
  std::vector<std::pair<std::string, std::string>> sysctl;
  Resources resources;
  std::string cgroups_path;
  std::vector<Namespace> namespaces;
  std::vector<Device> devices;
  std::vector<std::pair<std::string, NetDevice>> net_devices;  ///< by name on the host
  std::optional<Seccomp> seccomp;
  std::optional<IntelRdt> intel_rdt;
  std::string rootfs_propagation;
  std::vector<std::string> masked_paths;
  std::vector<std::string> readonly_paths;
  std::string mount_label;
  std::string mount_context = "context";  ///< the mount option that takes mount_label, from
                                          ///< annotation run.oci.mount_context_type
  /// From annotations run.oci.systemd.subgroup and run.oci.delegate-cgroup: cgroups below the
  /// container's that hold its processes, the latter inside the former; the container's cgroup
  /// namespace is rooted above the latter. Empty: none.
  std::string systemd_subgroup;
  std::string delegate_cgroup;
  std::optional<Personality> personality;
  std::vector<TimeOffset> time_offsets;
  std::optional<MemoryPolicy> memory_policy;
};

/// The modes and flags of linux.memoryPolicy that the parser knows.
std::vector<std::string> memory_policy_modes();
std::vector<std::string> memory_policy_flags();
/// "MPOL_BIND".
std::string memory_mode_name(int mode);

/// Returns the numbers of a list such as "0-3,7" (see cpuset(7), "List format") as a bit mask in
/// the kernel's form: number N is bit N % 8 of byte N / 8. Accepts spaces around an element and
/// empty elements, but no empty set. None if the list is malformed, or has a number of `limit` or
/// more.
std::optional<std::string> number_mask(std::string_view list, std::uint32_t limit);
/// Returns such a mask in hexadecimal, the highest byte first, without leading zeros.
std::string mask_digits(std::string_view mask);
/// An upper bound for the processors of any kernel (CONFIG_NR_CPUS).
inline constexpr std::uint32_t processor_limit = 8192;
/// An upper bound for the memory nodes of any kernel (CONFIG_NODES_SHIFT).
inline constexpr std::uint32_t memory_node_limit = 1024;

}  // namespace tare

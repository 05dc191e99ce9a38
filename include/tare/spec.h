/// \file
/// config.json as plain structs: the names of the OCI runtime-spec in snake_case, with the same
/// nesting and meaning. A field that is absent or null is an empty optional, string or vector.
/// Parsing checks types, required members and enum values, except seccomp's names, whose tables are
/// in a higher layer; validate.h checks constraints between fields.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace tare {

namespace json {
class Value;
}

struct IdMapping {
  std::uint32_t container_id = 0;
  std::uint32_t host_id = 0;
  std::uint32_t size = 0;
};
/// Returns the mappings in the kernel's format: uid_map in user_namespaces(7).
std::string id_map_text(const std::vector<IdMapping>& mappings);

struct Box {
  std::uint32_t height = 0;  ///< rows
  std::uint32_t width = 0;   ///< columns
};

struct User {
  std::uint32_t uid = 0;
  std::uint32_t gid = 0;
  std::optional<std::uint32_t> umask;
  std::vector<std::uint32_t> additional_gids;
};

/// Capability sets as bit masks: bit N is capability N of capabilities(7). The sets that the parser
/// returns can be granted to a process that has all capabilities: effective and ambient are subsets
/// of permitted, ambient and inheritable are within the kernel's constraints.
struct Capabilities {
  std::uint64_t bounding = 0;
  std::uint64_t effective = 0;
  std::uint64_t inheritable = 0;
  std::uint64_t permitted = 0;
  std::uint64_t ambient = 0;
};

struct Rlimit {
  int resource = 0;  ///< RLIMIT_* of getrlimit(2)
  std::uint64_t soft = 0;
  std::uint64_t hard = 0;
};

/// sched_setattr(2) for the process. `runtime`, `deadline` and `period` are SCHED_DEADLINE's, in
/// nanoseconds.
struct Scheduler {
  /// SCHED_ISO: reserved in sched(7), and not implemented by any kernel.
  static constexpr int sched_iso = 4;

  int policy = 0;  ///< SCHED_* of sched(7)
  std::int32_t nice = 0;
  std::int32_t priority = 0;  ///< of SCHED_FIFO and SCHED_RR
  std::uint64_t flags = 0;    ///< SCHED_FLAG_*
  std::uint64_t runtime = 0;
  std::uint64_t deadline = 0;
  std::uint64_t period = 0;
};

struct IoPriority {
  int io_class = 0;           ///< IOPRIO_CLASS_* of ioprio_set(2)
  std::int32_t priority = 0;  ///< 0 (highest) to 7
};

/// The CPU affinity of a process that is executed in a running container; lists as in
/// `number_mask`.
struct CpuAffinity {
  std::string initial;  ///< while it is being started
  std::string final_;   ///< once it is in the container's cgroup
};

struct Process {
  bool terminal = false;
  std::optional<Box> console_size;
  User user;
  std::vector<std::string> args;
  std::vector<std::string> env;
  std::string cwd;
  std::optional<Capabilities> capabilities;
  std::vector<Rlimit> rlimits;
  bool no_new_privileges = false;
  std::string apparmor_profile;
  std::optional<int> oom_score_adj;
  std::string selinux_label;
  std::optional<Scheduler> scheduler;
  std::optional<IoPriority> io_priority;
  CpuAffinity exec_cpu_affinity;
  /// Parts that `parse_process` dropped and the caller must log, each as "PATH: sentence" (the
  /// spec's "Warnings").
  std::vector<std::string> warnings;
};

/// The origin of the fields of a process object, for messages.
struct ProcessSource {
  std::string document = "config.json";
  std::string prefix = "process.";  ///< of the fields in the document
  /// Fields from another origin, "user" for all below it, with their name: "--user".
  std::vector<std::pair<std::string, std::string>> elsewhere{};

  /// Returns the name of a field such as "user.uid" in messages: "config.json: process.user.uid",
  /// "process.json: user.uid", "--user".
  std::string place(std::string_view field) const;
};

struct Root {
  std::string path;
  bool readonly = false;
};

struct Mount {
  std::string destination;  ///< absolute; the parser resolves a relative one against "/"
  std::string type;
  std::string source;
  std::vector<std::string> options;
  /// For an id-mapped mount: container_id is an id in the file system, host_id is the id seen
  /// through the mount.
  std::vector<IdMapping> uid_mappings;
  std::vector<IdMapping> gid_mappings;

  /// Returns the size of the options as mount(2) takes them: one string.
  std::size_t options_size() const noexcept {
    std::size_t size = 0;
    for (const std::string& option : options) {
      size += option.size() + 1;
    }
    return size;
  }
};
/// The limit of mount(2): a page, minus the NUL.
inline constexpr std::size_t longest_mount_data = 4095;

struct Hook {
  std::string path;
  std::vector<std::string> args;
  std::optional<std::vector<std::string>> env;
  std::optional<int> timeout;  ///< seconds, > 0
  /// Files to which the hook's output is appended, from annotations run.oci.hooks.stdout and
  /// run.oci.hooks.stderr; empty: none.
  std::string stdout_file;
  std::string stderr_file;
};

struct Hooks {
  std::vector<Hook> prestart;
  std::vector<Hook> create_runtime;
  std::vector<Hook> create_container;
  std::vector<Hook> start_container;
  std::vector<Hook> poststart;
  std::vector<Hook> poststop;
};

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

/// A rule of the device filter; absent major or minor (or -1 in the file) is a wildcard.
struct DeviceRule {
  bool allow = false;
  char type = 'a';  ///< 'a' (all), 'c' or 'b'
  std::optional<std::int64_t> major;
  std::optional<std::int64_t> minor;
  std::string access;  ///< of "rwm"; empty means all three
};

struct MemoryResources {
  std::optional<std::int64_t> limit;
  std::optional<std::int64_t> reservation;
  std::optional<std::int64_t> swap;  ///< memory + swap, bytes
  std::optional<std::int64_t> kernel;
  std::optional<std::int64_t> kernel_tcp;
  std::optional<std::uint64_t> swappiness;
  std::optional<bool> disable_oom_killer;
  std::optional<bool> use_hierarchy;
  std::optional<bool> check_before_update;
};

struct CpuResources {
  std::optional<std::uint64_t> shares;
  std::optional<std::int64_t> quota;   ///< microseconds
  std::optional<std::uint64_t> burst;  ///< microseconds
  std::optional<std::uint64_t> period;
  std::optional<std::int64_t> realtime_runtime;
  std::optional<std::uint64_t> realtime_period;
  std::string cpus;
  std::string mems;
  std::optional<std::int64_t> idle;
};

struct WeightDevice {
  std::int64_t major = 0;
  std::int64_t minor = 0;
  std::optional<std::uint16_t> weight;
  std::optional<std::uint16_t> leaf_weight;
};

struct ThrottleDevice {
  std::int64_t major = 0;
  std::int64_t minor = 0;
  std::uint64_t rate = 0;
};

struct BlockIoResources {
  std::optional<std::uint16_t> weight;
  std::optional<std::uint16_t> leaf_weight;
  std::vector<WeightDevice> weight_device;
  std::vector<ThrottleDevice> throttle_read_bps_device;
  std::vector<ThrottleDevice> throttle_write_bps_device;
  std::vector<ThrottleDevice> throttle_read_iops_device;
  std::vector<ThrottleDevice> throttle_write_iops_device;
};

struct HugepageLimit {
  std::string page_size;
  std::uint64_t limit = 0;  ///< bytes
};

struct RdmaLimit {
  std::string device;
  std::optional<std::uint32_t> hca_handles;
  std::optional<std::uint32_t> hca_objects;
};

struct NetworkPriority {
  std::string name;
  std::uint32_t priority = 0;
};

/// linux.resources. `network` (net_cls, net_prio) exists in cgroup v1 only.
struct Resources {
  std::vector<DeviceRule> devices;
  MemoryResources memory;
  CpuResources cpu;
  std::optional<std::int64_t> pids_limit;
  BlockIoResources block_io;
  std::vector<HugepageLimit> hugepage_limits;
  std::optional<std::uint32_t> network_class_id;
  std::vector<NetworkPriority> network_priorities;
  std::vector<RdmaLimit> rdma;
  std::vector<std::pair<std::string, std::string>> unified;
};

struct SeccompArg {
  std::uint32_t index = 0;
  std::uint64_t value = 0;
  std::uint64_t value_two = 0;
  std::string op;  ///< SCMP_CMP_*
};

struct SeccompSyscall {
  std::vector<std::string> names;
  std::string action;  ///< SCMP_ACT_*
  std::optional<std::uint32_t> errno_ret;
  std::vector<SeccompArg> args;
};

struct Seccomp {
  std::string default_action;
  std::optional<std::uint32_t> default_errno_ret;
  std::vector<std::string> architectures;  ///< SCMP_ARCH_*
  /// SECCOMP_FILTER_FLAG_*. Absent means the default, SECCOMP_FILTER_FLAG_SPEC_ALLOW; empty means
  /// none.
  std::optional<std::vector<std::string>> flags;
  std::string listener_path;
  std::string listener_metadata;
  std::vector<SeccompSyscall> syscalls;
  /// From annotation run.oci.seccomp_fail_unknown_syscall: refuse unknown system call names.
  bool refuses_unknown = false;
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

struct Spec {
  std::string oci_version;
  std::optional<Process> process;
  Root root;
  std::string hostname;
  std::string domainname;
  std::vector<Mount> mounts;
  Hooks hooks;
  std::map<std::string, std::string> annotations;
  Linux linux_;  ///< `linux` is a macro of GNU compilers
  /// From annotation run.oci.keep_original_groups: keep the caller's supplementary groups.
  bool keeps_groups = false;
  /// From annotation run.oci.pidfd_receiver: AF_UNIX socket that receives the pidfd; empty: none.
  std::string pidfd_receiver;
  /// Changes and omissions that the caller must log, including the process's.
  std::vector<std::string> warnings;

  /// Returns the namespace of that type in linux.namespaces, or null.
  const Namespace* find_namespace(NamespaceType type) const noexcept;
  /// Returns the path of a namespace in config.json: "linux.namespaces[2]".
  std::string namespace_place(const Namespace& one) const {
    return "linux.namespaces[" + std::to_string(&one - linux_.namespaces.data()) + "]";
  }
  /// Whether the container gets a namespace of that type (new or joined).
  bool has_namespace(NamespaceType type) const noexcept { return find_namespace(type) != nullptr; }
  /// Whether the first mount is the container's root, instead of root.path.
  bool mounts_root() const;
  /// Whether the container gets a new namespace of that type.
  bool makes_namespace(NamespaceType type) const noexcept {
    const Namespace* found = find_namespace(type);
    return found != nullptr && found->path.empty();
  }
};

/// Parses a whole config.json. `name` denotes it in errors. Throws `invalid_config` for bad JSON,
/// wrong types and unknown enum values, `unsupported` for a field of the spec that this version
/// does not implement. Ignores properties that the spec does not define, as required by the spec
/// ("Extensibility").
Spec parse_spec(std::string text, const std::string& name);
/// Parses a process object alone (`exec --process`), with the same errors.
Process parse_process(std::string text, const std::string& name);
/// Parses a linux.resources object alone (`update --resources`), with the same errors.
Resources parse_resources(std::string text, const std::string& name);
/// Parses a mounts array alone (`mounts add`) for the container of `container`, with the same
/// errors; paths in them are relative to the array.
std::vector<Mount> parse_mounts(std::string text, const std::string& name, const Spec& container);

/// Returns `resources` as the JSON of linux.resources, the input of `parse_resources`.
std::string resources_json(const Resources& resources);
/// Returns `before` with the updates of `changes`: set fields replace the old ones. Zero in a field
/// where it means "not set", and an empty list, keep the old value. In lists of devices, page sizes
/// or unified files, an element replaces the one with the same key; the list of device rules, whose
/// order is significant, is replaced as a whole.
Resources updated_resources(const Resources& before, const Resources& changes);

/// Returns the number of a capability, by its name with or without "CAP_" in any case; none if
/// unknown.
std::optional<int> capability_number(std::string_view name);
/// Returns "CAP_SYS_ADMIN"; null for a number without a name.
const char* capability_name(int number) noexcept;
/// Returns every capability name that the parser knows, by number.
std::vector<std::string> capability_names();
/// Returns the keys of `hooks` that the parser knows, in order of execution.
std::vector<std::string> hook_names();
/// Returns the RLIMIT_* constant of a "RLIMIT_…" name; none if unknown.
std::optional<int> rlimit_number(std::string_view name);
/// "RLIMIT_NOFILE"; null for a number without a name.
const char* rlimit_name(int resource) noexcept;

/// "SCHED_FIFO"; null for a number without a name.
const char* scheduling_policy_name(int policy) noexcept;

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

/// The implemented version of the runtime-spec, also written by `spec`.
inline constexpr std::string_view oci_version = "1.3.0";
/// Whether the parser reads a field of `linux` or of a mount ("linux.netDevices",
/// "mounts.uidMappings", "linux.intelRdt.schemata").
bool is_implemented(std::string_view field);

/// Returns the config.json that `spec` writes: a shell in new namespaces on ./rootfs. With
/// `rootless`, one for an ordinary user: a user namespace that maps the caller's own uid and gid to
/// root, and no network namespace, cgroup or gid options, which need privileges.
std::string default_spec_json(bool rootless, uid_t uid, gid_t gid);

}  // namespace tare

#include <array>
#include <string_view>

#include "json/json.h"
#include "tare/spec.h"

namespace tare {

namespace {

struct DefaultMount {
  std::string_view destination;
  std::string_view type;
  std::string_view source;
  std::array<std::string_view, 6> options;  ///< up to the first empty one
};

constexpr DefaultMount default_mounts[] = {
    {"/proc", "proc", "proc", {}},
    {"/dev", "tmpfs", "tmpfs", {"nosuid", "strictatime", "mode=755", "size=65536k"}},
    {"/dev/pts",
     "devpts",
     "devpts",
     {"nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"}},
    {"/dev/shm", "tmpfs", "shm", {"nosuid", "noexec", "nodev", "mode=1777", "size=65536k"}},
    {"/dev/mqueue", "mqueue", "mqueue", {"nosuid", "noexec", "nodev"}},
    {"/sys", "sysfs", "sysfs", {"nosuid", "noexec", "nodev", "ro"}},
    {"/sys/fs/cgroup", "cgroup", "cgroup", {"nosuid", "noexec", "nodev", "relatime", "ro"}},
};

/// A new sysfs shows the network namespace of the mounting process, and requires ownership of it; a
/// container without its own network namespace can only bind the host's sysfs.
constexpr DefaultMount rootless_sys = {
    "/sys", "none", "/sys", {"rbind", "nosuid", "noexec", "nodev", "ro"}};

constexpr std::string_view default_capabilities[] = {"CAP_AUDIT_WRITE", "CAP_KILL",
                                                     "CAP_NET_BIND_SERVICE"};

constexpr std::string_view default_masked_paths[] = {
    "/proc/acpi",          "/proc/asound",     "/proc/kcore",       "/proc/keys",
    "/proc/latency_stats", "/proc/timer_list", "/proc/timer_stats", "/proc/sched_debug",
    "/sys/firmware",       "/proc/scsi",
};

constexpr std::string_view default_readonly_paths[] = {
    "/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger",
};

template <typename Strings>
void write_strings(json::Writer& writer, std::string_view key, const Strings& strings) {
  writer.key(key).begin_array();
  for (const std::string_view string : strings) {
    writer.string(string);
  }
  writer.end_array();
}

void write_process(json::Writer& writer) {
  writer.key("process").begin_object();
  writer.key("terminal").boolean(true);
  writer.key("user").begin_object();
  writer.key("uid").number(0).key("gid").number(0).end_object();
  write_strings(writer, "args", std::array<std::string_view, 1>{"sh"});
  write_strings(
      writer, "env",
      std::array<std::string_view, 2>{
          "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "TERM=xterm"});
  writer.key("cwd").string("/");
  writer.key("capabilities").begin_object();
  for (const std::string_view set : {"bounding", "effective", "permitted"}) {
    write_strings(writer, set, default_capabilities);
  }
  writer.end_object();
  writer.key("rlimits").begin_array().begin_object();
  writer.key("type").string("RLIMIT_NOFILE");
  writer.key("hard").number(1024).key("soft").number(1024);
  writer.end_object().end_array();
  writer.key("noNewPrivileges").boolean(true);
  writer.end_object();
}

void write_mount(json::Writer& writer, const DefaultMount& mount, bool rootless) {
  writer.begin_object();
  writer.key("destination").string(mount.destination);
  writer.key("type").string(mount.type);
  writer.key("source").string(mount.source);
  if (!mount.options.front().empty()) {
    writer.key("options").begin_array();
    for (const std::string_view option : mount.options) {
      // An ordinary user's namespace maps a single group id, which is not that of the host's "tty".
      if (!option.empty() && !(rootless && option.starts_with("gid="))) {
        writer.string(option);
      }
    }
    writer.end_array();
  }
  writer.end_object();
}

void write_mapping(json::Writer& writer, std::string_view key, std::uint32_t host_id) {
  writer.key(key).begin_array().begin_object();
  writer.key("containerID").number(0);
  writer.key("hostID").number_unsigned(host_id);
  writer.key("size").number(1);
  writer.end_object().end_array();
}

void write_linux(json::Writer& writer, bool rootless, uid_t uid, gid_t gid) {
  writer.key("linux").begin_object();
  if (rootless) {
    write_mapping(writer, "uidMappings", uid);
    write_mapping(writer, "gidMappings", gid);
  } else {
    writer.key("resources").begin_object().key("devices").begin_array().begin_object();
    writer.key("allow").boolean(false).key("access").string("rwm");
    writer.end_object().end_array().end_object();
  }
  writer.key("namespaces").begin_array();
  const std::array namespaces = {NamespaceType::pid, NamespaceType::network, NamespaceType::ipc,
                                 NamespaceType::uts, NamespaceType::mount,   NamespaceType::cgroup,
                                 NamespaceType::user};
  for (const NamespaceType type : namespaces) {
    if (type != (rootless ? NamespaceType::network : NamespaceType::user)) {
      writer.begin_object().key("type").string(namespace_name(type)).end_object();
    }
  }
  writer.end_array();
  write_strings(writer, "maskedPaths", default_masked_paths);
  write_strings(writer, "readonlyPaths", default_readonly_paths);
  writer.end_object();
}

}  // namespace

std::string default_spec_json(bool rootless, uid_t uid, gid_t gid) {
  json::Writer writer(-1);
  writer.begin_object();
  writer.key("ociVersion").string(oci_version);
  write_process(writer);
  writer.key("root").begin_object();
  writer.key("path").string("rootfs").key("readonly").boolean(true).end_object();
  writer.key("hostname").string("tare");
  writer.key("mounts").begin_array();
  for (const DefaultMount& mount : default_mounts) {
    const bool replaced = rootless && mount.destination == rootless_sys.destination;
    write_mount(writer, replaced ? rootless_sys : mount, rootless);
  }
  writer.end_array();
  write_linux(writer, rootless, uid, gid);
  writer.end_object();
  return writer.take() + "\n";
}

}  // namespace tare

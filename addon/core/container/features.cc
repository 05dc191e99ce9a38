#include "container/features.h"

#include <algorithm>
#include <string_view>
#include <vector>

#include "json/json.h"
#include "spec/mount_options.h"
#include "tare/plan.h"
#include "tare/seccomp.h"
#include "tare/spec.h"

namespace tare {

namespace {

void write_strings(json::Writer& writer, std::string_view key,
                   const std::vector<std::string>& values) {
  writer.key(key).begin_array();
  for (const std::string& value : values) {
    writer.string(value);
  }
  writer.end_array();
}

/// Writes an object with the only member `enabled`.
void write_enabled(json::Writer& writer, std::string_view key, bool enabled) {
  writer.key(key).begin_object().key("enabled").boolean(enabled).end_object();
}

std::vector<std::string> namespace_names() {
  std::vector<std::string> names;
  for (int type = 0; type < namespace_type_count; ++type) {
    names.emplace_back(namespace_name(static_cast<NamespaceType>(type)));
  }
  std::sort(names.begin(), names.end());
  return names;
}

void write_cgroup(json::Writer& writer) {
  writer.key("cgroup").begin_object();
  writer.key("v1").boolean(false);
  writer.key("v2").boolean(true);
  writer.key("systemd").boolean(true);
  writer.key("systemdUser").boolean(true);
  writer.key("rdma").boolean(true);
  writer.end_object();
}

void write_seccomp(json::Writer& writer) {
  writer.key("seccomp").begin_object();
  writer.key("enabled").boolean(true);
  write_strings(writer, "actions", seccomp_actions());
  write_strings(writer, "operators", seccomp_operators());
  write_strings(writer, "archs", seccomp_architectures());
  write_strings(writer, "knownFlags", seccomp_known_flags());
  write_strings(writer, "supportedFlags", seccomp_supported_flags());
  writer.end_object();
}

void write_linux(json::Writer& writer) {
  writer.key("linux").begin_object();
  write_strings(writer, "namespaces", namespace_names());
  write_strings(writer, "capabilities", capability_names());
  write_cgroup(writer);
  write_seccomp(writer);
  write_enabled(writer, "apparmor", true);
  write_enabled(writer, "selinux", true);
  writer.key("memoryPolicy").begin_object();
  write_strings(writer, "modes", memory_policy_modes());
  write_strings(writer, "flags", memory_policy_flags());
  writer.end_object();
  writer.key("intelRdt").begin_object();
  writer.key("enabled").boolean(is_implemented("linux.intelRdt"));
  writer.key("schemata").boolean(is_implemented("linux.intelRdt.schemata"));
  writer.key("monitoring").boolean(is_implemented("linux.intelRdt.enableMonitoring"));
  writer.end_object();
  writer.key("mountExtensions").begin_object();
  write_enabled(writer, "idmap",
                is_implemented("mounts.uidMappings") && is_implemented("mounts.gidMappings"));
  writer.end_object();
  write_enabled(writer, "netDevices", is_implemented("linux.netDevices"));
  writer.end_object();
}

}  // namespace

std::string features_json() {
  json::Writer writer(4);
  writer.begin_object();
  writer.key("ociVersionMin").string("1.0.0");
  writer.key("ociVersionMax").string(oci_version);
  write_strings(writer, "hooks", hook_names());
  write_strings(writer, "mountOptions", mount_option_words());
  write_linux(writer);
  writer.key("annotations").begin_object();
  writer.key("io.github.seccomp.libseccomp.version").string(seccomp_library_version());
  // runc's annotation, which engines check for any runtime.
  writer.key("org.opencontainers.runc.checkpoint.enabled").string("true");
  writer.key("tare.version").string(TARE_VERSION);
  writer.end_object();
  // criu's configuration file, which may name programs to run; any property of the container's
  // unit, with the systemd driver; and crun's annotations for files and sockets of the host and the
  // caller's groups.
  write_strings(writer, "potentiallyUnsafeConfigAnnotations",
                {"org.criu.config", "org.systemd.property.", "run.oci."});
  writer.end_object();
  return writer.take();
}

}  // namespace tare

/// \file
/// config.json as plain structs: the names of the OCI runtime-spec in snake_case, with the same
/// nesting and meaning. A field that is absent or null is an empty optional, string or vector.
/// Parsing checks types, required members and enum values, except seccomp's names, whose tables are
/// in a higher layer; validate.h checks constraints between fields.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tare/spec/linux.h"
#include "tare/spec/process.h"
#include "tare/spec/resources.h"

namespace tare {

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
inline constexpr std::size_t max_mount_data = 4095;

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
  std::string config_path(const Namespace& one) const {
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

/// Returns the keys of `hooks` that the parser knows, in order of execution.
std::vector<std::string> hook_names();
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

#include "container/bundle.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "cgroup/cgroup.h"
#include "container/prepared_config.h"
#include "spec/mount_options.h"
#include "tare/error.h"
#include "tare/fd.h"
#include "tare/validate.h"

namespace tare {

namespace {

constexpr const char* config_name = "config.json";

}  // namespace

std::string rootfs_path(const Bundle& bundle) {
  return absolute_path(absolute_path_in(bundle.path, bundle.spec.root.path));
}

namespace {

/// Strips the root's own path on the host from mount destinations that begin with it: runc does so,
/// and its users write such destinations.
void take_destinations_below_root(Bundle& bundle) {
  std::string root = rootfs_path(bundle);
  if (root == "/") {
    return;
  }
  root += '/';
  for (std::size_t i = 0; i < bundle.spec.mounts.size(); ++i) {
    std::string& destination = bundle.spec.mounts[i].destination;
    if (destination.starts_with(root)) {
      std::string inside = destination.substr(root.size() - 1);
      bundle.spec.warnings.push_back("config.json: mounts[" + std::to_string(i) +
                                     "].destination: \"" + destination +
                                     "\" begins with root.path; taking " + inside);
      destination = std::move(inside);
    }
  }
}

/// Maps the caller to root, and no other id, in a new user namespace without mappings, as crun
/// does.
void add_default_mappings(Spec& spec) {
  Linux& config = spec.linux_;
  if (spec.makes_namespace(NamespaceType::user) && config.uid_mappings.empty() &&
      config.gid_mappings.empty()) {
    config.uid_mappings = {{.container_id = 0, .host_id = geteuid(), .size = 1}};
    config.gid_mappings = {{.container_id = 0, .host_id = getegid(), .size = 1}};
  }
}

/// Warns of file system options on a bind mount: a file system keeps the options that it was
/// mounted with (mount(8)).
void warn_of_bind_options(Spec& spec) {
  for (std::size_t i = 0; i < spec.mounts.size(); ++i) {
    const MountOptions options = read_mount_options(spec.mounts[i]);
    if (!options.bind) {
      continue;
    }
    for (const auto& [key, value] : options.data) {
      if (!value.empty()) {
        spec.warnings.push_back("config.json: mounts[" + std::to_string(i) + "].options: \"" + key +
                                "=" + value + "\" has no effect on a bind mount");
      }
    }
  }
}

/// Throws if `options` has something that needs, or conflicts with, a root that is one of the
/// config's mounts.
void check_mounted_root(const Bundle& bundle, const CreateOptions& options) {
  const bool mounted = bundle.spec.mounts_root();
  if (mounted && options.no_pivot && rootfs_path(bundle) == "/") {
    throw Error(ErrorKind::invalid_argument,
                "--no-pivot: mounts[0] would be moved to \"/\", which it covers; name another "
                "directory with root.path, or leave --no-pivot out");
  }
  // Entries made in a directory of the host would be files of the host.
  const bool own_root = mounted && bundle.spec.mounts.front().type == "tmpfs" &&
                        !read_mount_options(bundle.spec.mounts.front()).bind;
  if (!own_root && options.root_entries && !options.root_entries->empty()) {
    throw Error(ErrorKind::invalid_config,
                "config.json: mounts[0]: must be a tmpfs at \"/\": files are to be made in the "
                "root, which is to be the container's alone")
        .with_path("mounts[0]");
  }
}

}  // namespace

Bundle read_bundle(const CreateOptions& options) {
  if (options.prepared) {
    return options.prepared->bundle(options);
  }
  Bundle bundle;
  bundle.path = options.bundle.empty() ? absolute_path(".") : absolute_path(options.bundle);
  if (options.config.has_value()) {
    bundle.config = *options.config;
  } else {
    auto text = read_file_if_exists(AT_FDCWD, bundle.path + "/" + config_name);
    if (!text.has_value()) {
      throw Error(ErrorKind::invalid_argument,
                  "JSON specification file config.json not found in " + bundle.path +
                      "; name the bundle with --bundle, or make one with `tare spec`")
          .with_path(bundle.path + "/" + config_name);
    }
    bundle.config = std::move(*text);
  }
  bundle.spec = parse_spec(bundle.config, config_name);
  add_default_mappings(bundle.spec);
  take_destinations_below_root(bundle);
  validate(bundle.spec, config_name);
  check_mounted_root(bundle, options);
  warn_of_bind_options(bundle.spec);
  for (std::string& warning : ignored_resources(bundle.spec.linux_.resources)) {
    bundle.spec.warnings.push_back(std::move(warning));
  }
  bundle.has_process = bundle.spec.process.has_value();
  if (!bundle.has_process) {
    bundle.spec.process.emplace().cwd = "/";
  }
  return bundle;
}

void check_rootfs(const std::string& path) {
  struct stat status{};
  if (stat(path.c_str(), &status) < 0) {
    const int error = errno;
    throw Error(ErrorKind::invalid_config,
                "config.json: root.path: " + path + ": " + errno_text(error) +
                    "; it must be the directory with the container's files")
        .with_errno(error, "stat")
        .with_path("root.path");
  }
  if (!S_ISDIR(status.st_mode)) {
    throw Error(ErrorKind::invalid_config,
                "config.json: root.path: " + path + ": is not a directory")
        .with_path("root.path");
  }
}

std::vector<Problem> config_problems(const std::string& text) {
  try {
    return find_problems(parse_spec(text, config_name));
  } catch (const Error& error) {
    Problem problem{error.path(), error.what(), error.kind() == ErrorKind::unsupported};
    for (const std::string& prefix : {config_name + std::string(": "), problem.path + ": "}) {
      if (problem.message.starts_with(prefix)) {
        problem.message.erase(0, prefix.size());
      }
    }
    return {std::move(problem)};
  }
}

}  // namespace tare

// Where the state of containers is kept.
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <string_view>

#include "container/host_facts.h"
#include "container/impl.h"

namespace tare {
namespace {

/// Whether the caller is an ordinary user, or the root of that user's own user namespace (as podman
/// calls a runtime). Where the machine is itself a container with a user namespace, its root has
/// USER set to "root".
bool is_ordinary_user() {
  if (geteuid() != 0) return true;
  const char* name = std::getenv("USER");
  return in_user_namespace() && (name == nullptr || std::string_view(name) != "root");
}

}  // namespace

std::string default_root() {
  if (!is_ordinary_user()) {
    return "/run/tare";
  }
  const char* runtime_dir = std::getenv("XDG_RUNTIME_DIR");
  if (runtime_dir != nullptr && runtime_dir[0] != '\0') {
    return std::string(runtime_dir) + "/tare";
  }
  if (geteuid() == 0) {
    return "/run/tare";
  }
  // The value of XDG_RUNTIME_DIR in the user's sessions; jobs and services do not have it set.
  const std::string uid = std::to_string(geteuid());
  const std::string of_sessions = "/run/user/" + uid;
  struct stat status{};
  if (lstat(of_sessions.c_str(), &status) == 0 && S_ISDIR(status.st_mode) &&
      status.st_uid == geteuid()) {
    return of_sessions + "/tare";
  }
  return "/tmp/tare-" + uid;
}

Runtime resolve_runtime(const Runtime& runtime) {
  Runtime resolved = runtime;
  resolved.root = absolute_path(runtime.root.empty() ? default_root() : runtime.root);
  return resolved;
}

std::string seccomp_cache_dir(const Runtime& runtime) { return runtime.root + "/.@seccomp"; }

}  // namespace tare

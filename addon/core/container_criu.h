// What checkpoint and restore do alike.
#pragma once

#include <string>

#include "criu.h"
#include "tare/fd.h"
#include "tare/spec.h"

namespace tare {

/// The descriptors of a container that its next life must get from outside, in the image directory:
/// a JSON array of what /proc/PID/fd/0, 1 and 2 link to, or how criu calls the files of the host
/// that they are, and then the same for the host's /dev/null. runc has a file of that name with the
/// first three.
inline constexpr const char* descriptors_file = "descriptors.json";

/// Throws `unsupported` for a caller whom criu does not serve.
void refuse_without_privilege();
/// Throws `unsupported` for a container that criu could not save, or bring back. `has_unit`: its
/// cgroup is systemd's.
void refuse_unrestorable(const Spec& spec, bool has_unit);
/// Throws `unsupported` where there is no criu, or one that cannot do it.
void check_criu(const CriuFeatures& wanted);

/// The directories that criu is given, open.
struct CriuDirectories {
  Fd images;
  Fd work;          ///< none: images
  std::string log;  ///< path of the log
};
/// Makes them where `make` says so. Throws `system`.
CriuDirectories open_criu_directories(const CriuOptions& options, const char* log, bool make);
/// The same directories as a process sees them that is in a mount namespace of its own: only there
/// can it mount something.
CriuDirectories seen_by(pid_t pid, const CriuOptions& options, const char* log);
/// Where the images are.
std::string image_path(const CriuOptions& options);

/// criu's settings for this container: the file that the annotation "org.criu.config" names, or the
/// one that engines count on.
std::string criu_config_file(const Spec& spec);

/// How criu calls a namespace that it finds rather than makes: "extRootNetNS".
std::string external_namespace_key(NamespaceType type);

}  // namespace tare

// What checkpoint and restore have in common.
#pragma once

#include <string>

#include "checkpoint/criu.h"
#include "tare/fd.h"
#include "tare/spec.h"

namespace tare {

/// Name of a file in the image directory with the descriptors that a restored container must get
/// from outside. It is a JSON array: the links of /proc/PID/fd/0, 1 and 2, or criu's keys if these
/// are files of the host, and then the keys of the host's /dev/null. runc has a file of that name
/// with the first three.
inline constexpr const char* descriptors_file = "descriptors.json";

/// Throws `unsupported` unless the caller is the host's root, which criu requires.
void refuse_without_privilege();
/// Throws `unsupported` for a container that criu cannot save or restore. `has_unit`: its cgroup is
/// systemd's.
void refuse_unrestorable(const Spec& spec, bool has_unit);
/// Throws `unsupported` if criu is not installed, or lacks a feature of `wanted`.
void check_criu(const CriuFeatures& wanted);

/// The open directories that criu is given.
struct CriuDirectories {
  Fd images;
  Fd work;          ///< none: `images`
  std::string log;  ///< path of the log
};
/// Opens the directories. Makes the work directory, and with `make` the image directory, if they
/// are missing. Throws `system` if one cannot be made, `invalid_argument` if one cannot be opened.
CriuDirectories open_criu_directories(const CriuOptions& options, const char* log, bool make);
/// Opens the same directories as process `pid` sees them, which is in a mount namespace of its own
/// and can mount only there.
CriuDirectories seen_by(pid_t pid, const CriuOptions& options, const char* log);
/// Returns the absolute path of the image directory.
std::string image_path(const CriuOptions& options);

/// Returns criu's configuration file for this container: the one that the annotation
/// "org.criu.config" names, or the default that engines rely on.
std::string criu_config_file(const Spec& spec);

/// Returns criu's key for a namespace that it finds rather than makes: "extRootNetNS".
std::string external_namespace_key(NamespaceType type);

}  // namespace tare

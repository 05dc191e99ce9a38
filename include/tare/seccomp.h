/// \file
/// seccomp profiles: compiled by libseccomp, cached, loaded by init. See seccomp(2).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "tare/spec.h"

namespace tare {

/// A compiled filter, the argument of seccomp(SECCOMP_SET_MODE_FILTER).
struct SeccompFilter {
  std::string program;  ///< struct sock_filter[], as bytes; empty: no filter is to be loaded
  /// SECCOMP_FILTER_FLAG_*, with NEW_LISTENER if the profile uses an agent. Never TSYNC: the
  /// loading process has no other thread to synchronize.
  std::uint32_t flags = 0;
};

/// The action that notifies the agent at linux.seccomp.listenerPath; see seccomp_unotify(2).
inline constexpr std::string_view seccomp_notify_action = "SCMP_ACT_NOTIFY";
/// Whether a rule has that action; listenerPath has no effect otherwise.
bool seccomp_needs_agent(const Seccomp& profile) noexcept;

/// Compiles `profile`. With a nonempty `cache_dir` (made 0700 if absent) the result is looked up
/// there first and stored there afterwards. An entry contains its whole profile and is used only if
/// that, the architecture and libseccomp's version are equal. Cache errors are ignored. Throws
/// `invalid_config` if libseccomp rejects the profile, naming `linux.seccomp…`.
SeccompFilter compile_seccomp(const Seccomp& profile, const std::string& cache_dir);

/// Names as spelled in config.json, from the compiler's own tables (for `features`).
std::vector<std::string> seccomp_actions();
std::vector<std::string> seccomp_operators();
std::vector<std::string> seccomp_architectures();
/// The known flags; seccomp_supported_flags() returns those that this kernel supports.
std::vector<std::string> seccomp_known_flags();
/// Whether libseccomp knows the system call `name` on any architecture.
bool is_syscall(const std::string& name) noexcept;
std::vector<std::string> seccomp_supported_flags();

/// The version of libseccomp that is linked in: "2.5.4".
std::string seccomp_library_version();

}  // namespace tare

/// \file
/// seccomp profiles: compiled by libseccomp, cached, handed to the kernel by init. See seccomp(2).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "tare/spec.h"

namespace tare {

/// A compiled filter: what seccomp(SECCOMP_SET_MODE_FILTER) takes.
struct SeccompFilter {
  std::string program;  ///< struct sock_filter[], as bytes; empty: no filter is to be loaded
  /// SECCOMP_FILTER_FLAG_*, with NEW_LISTENER where an agent is asked. TSYNC is never among them:
  /// the process that loads the filter has no other thread to give it to.
  std::uint32_t flags = 0;
};

/// The action that asks the agent at linux.seccomp.listenerPath; see seccomp_unotify(2).
inline constexpr std::string_view seccomp_notify_action = "SCMP_ACT_NOTIFY";
/// Whether a rule has that action. Only then listenerPath means anything.
bool seccomp_needs_agent(const Seccomp& profile) noexcept;

/// Compiles `profile`. With `cache_dir` (not empty; made 0700 if absent) the result is looked up
/// there first and kept there afterwards; an entry holds the whole profile that it was compiled
/// from and is used only if that, the architecture and libseccomp's version are the same. A cache
/// that cannot be read or written is no error. Throws `invalid_config` for what libseccomp refuses,
/// naming `linux.seccomp…`.
SeccompFilter compile_seccomp(const Seccomp& profile, const std::string& cache_dir);

/// Names as config.json spells them, from the tables that the compiler itself uses (for
/// `features`).
std::vector<std::string> seccomp_actions();
std::vector<std::string> seccomp_operators();
std::vector<std::string> seccomp_architectures();
/// Flags that are known, and of these the ones that this kernel supports.
std::vector<std::string> seccomp_known_flags();
/// Whether libseccomp knows a system call of that name, on any architecture.
bool is_syscall(const std::string& name) noexcept;
std::vector<std::string> seccomp_supported_flags();

/// The version of libseccomp that is linked in: "2.5.4".
std::string seccomp_library_version();

}  // namespace tare

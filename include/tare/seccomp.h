/// \file
/// seccomp profiles: compiled by libseccomp, cached, handed to the kernel by init. See seccomp(2).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "tare/spec.h"

namespace tare {

/// A compiled filter: what seccomp(SECCOMP_SET_MODE_FILTER) takes.
struct SeccompFilter {
  std::string program;      ///< struct sock_filter[], as bytes; empty: no filter is to be loaded
  std::uint32_t flags = 0;  ///< SECCOMP_FILTER_FLAG_*
};

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
std::vector<std::string> seccomp_supported_flags();

/// The version of libseccomp that is linked in: "2.5.4".
std::string seccomp_library_version();

}  // namespace tare

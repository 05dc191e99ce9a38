/// \file
/// The names in a seccomp profile, resolved to values: the input of AbiCompiler.
#pragma once

#include <linux/audit.h>
#include <seccomp.h>

#include <algorithm>
#include <cstdint>
#include <iterator>
#include <string>
#include <string_view>
#include <vector>

#include "tare/spec.h"

namespace tare {

/// An ABI that a kernel for this machine can execute; see AbiProgram for the numbers.
struct Abi {
  const char* name;
  std::uint32_t token;  ///< libseccomp's
  std::uint32_t audit_arch;
  std::uint32_t first_number;
  std::uint32_t last_number;
};

// The native one comes first: it is always filtered, and its calls should be reached soonest.
#if defined(__x86_64__)
inline constexpr std::uint32_t x32_bit = 0x40000000;
inline constexpr Abi abis[] = {
    {"SCMP_ARCH_X86_64", SCMP_ARCH_X86_64, AUDIT_ARCH_X86_64, 0, x32_bit - 1},
    {"SCMP_ARCH_X32", SCMP_ARCH_X32, AUDIT_ARCH_X86_64, x32_bit, 0xffffffff},
    {"SCMP_ARCH_X86", SCMP_ARCH_X86, AUDIT_ARCH_I386, 0, 0xffffffff},
};
#elif defined(__aarch64__)
inline constexpr Abi abis[] = {
    {"SCMP_ARCH_AARCH64", SCMP_ARCH_AARCH64, AUDIT_ARCH_AARCH64, 0, 0xffffffff},
    // Arm's private calls (cacheflush, set_tls) lie from 0xf0000 on; nothing is ever added there.
    {"SCMP_ARCH_ARM", SCMP_ARCH_ARM, AUDIT_ARCH_ARM, 0, 0xeffff},
};
#endif

/// A system call that libseccomp 2.5.4 does not know. Since 5.1 a new call gets the same number on
/// every architecture.
struct NewSyscall {
  std::string_view name;
  std::uint32_t number;
  std::uint32_t only_arch = 0;  ///< AUDIT_ARCH_* of the only architecture that has it
};

/// Returns the call of that name; null where there is none.
const NewSyscall* find_new_syscall(std::string_view name) noexcept;

/// A rule of the profile with its names resolved.
struct SeccompRule {
  const SeccompSyscall* syscall = nullptr;
  std::size_t index = 0;  ///< in linux.seccomp.syscalls
  std::uint32_t action = 0;
  /// Arguments of libseccomp's calls for each name: all conditions of one alternative must hold.
  std::vector<std::vector<scmp_arg_cmp>> alternatives;

  std::string path() const { return "linux.seccomp.syscalls[" + std::to_string(index) + "]"; }
};

/// Throws `invalid_config` for an unknown name.
std::vector<SeccompRule> resolve_rules(const Seccomp& profile);
std::uint32_t default_action(const Seccomp& profile);

/// Throws `invalid_config`: "PATH: MESSAGE".
[[noreturn]] void refuse_seccomp(const std::string& path, std::string_view message);

/// Returns the entry of that name; throws `invalid_config` where there is none.
template <typename Table>
auto& look_up(const Table& table, std::string_view name, const std::string& path) {
  const auto found = std::find_if(std::begin(table), std::end(table),
                                  [name](const auto& entry) { return entry.name == name; });
  if (found == std::end(table)) {
    refuse_seccomp(path, "\"" + std::string(name) + "\" is not known");
  }
  return *found;
}

template <typename Table>
std::vector<std::string> names_of(const Table& table) {
  std::vector<std::string> names;
  for (const auto& entry : table) {
    names.emplace_back(entry.name);
  }
  return names;
}

}  // namespace tare

/// \file
/// `linux.seccomp` of config.json.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace tare {

struct SeccompArg {
  std::uint32_t index = 0;
  std::uint64_t value = 0;
  std::uint64_t value_two = 0;
  std::string op;  ///< SCMP_CMP_*
};

struct SeccompSyscall {
  std::vector<std::string> names;
  std::string action;  ///< SCMP_ACT_*
  std::optional<std::uint32_t> errno_ret;
  std::vector<SeccompArg> args;
};

struct Seccomp {
  std::string default_action;
  std::optional<std::uint32_t> default_errno_ret;
  std::vector<std::string> architectures;  ///< SCMP_ARCH_*
  /// SECCOMP_FILTER_FLAG_*. Absent means the default, SECCOMP_FILTER_FLAG_SPEC_ALLOW; empty means
  /// none.
  std::optional<std::vector<std::string>> flags;
  std::string listener_path;
  std::string listener_metadata;
  std::vector<SeccompSyscall> syscalls;
  /// From annotation run.oci.seccomp_fail_unknown_syscall: refuse unknown system call names.
  bool refuses_unknown = false;
};

}  // namespace tare

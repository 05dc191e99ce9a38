/// \file
/// From libseccomp's programs, one an ABI, to the one program that the kernel gets.
///
/// libseccomp compares the system call's number with one rule's after the other, and the kernel
/// pays for that when the filter is loaded: it verifies and translates each instruction, and runs
/// the program once for every number that the architecture has, to learn which are always allowed
/// (seccomp_cache_prepare in its kernel/seccomp.c). So the programs are run here for each stretch
/// of numbers that they treat alike, what is left of them (a verdict, or the checks of arguments
/// that lead to one) is hung into a binary search over the stretches, and equal parts are kept
/// once.
#pragma once

#include <linux/filter.h>

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace tare {

/// A filter for the system calls of one ABI.
struct AbiProgram {
  std::uint32_t audit_arch = 0;  ///< AUDIT_ARCH_*, as in seccomp_data.arch
  /// The ABI's numbers as in seccomp_data.nr. ABIs may share an architecture (x32 is x86-64 with
  /// bit 30 set in the number); each then answers for all numbers from its first one to the next
  /// one's.
  std::uint32_t first_number = 0;
  std::uint32_t last_number = 0;
  std::vector<sock_filter> code;
  /// Numbers past this one, up to last_number, get ENOSYS instead of what `code` says.
  std::optional<std::uint32_t> newest_number;
  /// Verdicts (SECCOMP_RET_*) that replace those of `code` and newest_number, by number.
  std::vector<std::pair<std::uint32_t, std::uint32_t>> verdicts;
};

/// One program, struct sock_filter[] as bytes, that gives each system call the verdict of its ABI's
/// program, and `other_arch_verdict` on an architecture that none is for. Earlier architectures are
/// reached sooner. Throws `invalid_config` where it would be longer than BPF_MAXINSNS.
std::string join_programs(std::vector<AbiProgram> programs, std::uint32_t other_arch_verdict);

}  // namespace tare

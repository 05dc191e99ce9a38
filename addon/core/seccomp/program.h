/// \file
/// Joins libseccomp's programs, one per ABI, into the program that the kernel gets.
///
/// libseccomp compares the system call's number with the rules one by one, which costs time when
/// the filter is loaded: the kernel verifies and translates each instruction, and runs the program
/// once for every number of the architecture to learn which are always allowed
/// (seccomp_cache_prepare in kernel/seccomp.c). So the programs are evaluated here for each stretch
/// of numbers that they treat alike. What is left of them (an action, or the checks of arguments
/// that lead to one) is put into a binary search over the stretches, and equal parts are kept once.
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
  /// bit 30 set in the number); each then handles all numbers from its first one up to the next
  /// ABI's.
  std::uint32_t first_number = 0;
  std::uint32_t last_number = 0;
  std::vector<sock_filter> code;
  /// Numbers above this one, up to last_number, get ENOSYS instead of the action of `code`.
  std::optional<std::uint32_t> newest_number;
  /// Verdicts (SECCOMP_RET_*) that replace those of `code` and newest_number, by number.
  std::vector<std::pair<std::uint32_t, std::uint32_t>> actions;
};

/// Returns one program, struct sock_filter[] as bytes, that gives each system call the action of
/// its ABI's program, and `other_arch_action` on any other architecture. Earlier architectures are
/// reached sooner. Throws `invalid_config` where it would be longer than BPF_MAXINSNS.
std::string join_programs(std::vector<AbiProgram> programs, std::uint32_t other_arch_action);

}  // namespace tare

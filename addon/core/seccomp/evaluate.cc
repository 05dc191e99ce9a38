#include "seccomp/evaluate.h"

#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>

#include <cstddef>
#include <cstring>

namespace tare {
namespace {

#if defined(__x86_64__)
constexpr std::uint32_t own_architecture = AUDIT_ARCH_X86_64;
#else
constexpr std::uint32_t own_architecture = AUDIT_ARCH_AARCH64;
#endif

/// Returns the word of struct seccomp_data at `offset`; both architectures are little-endian.
std::optional<std::uint32_t> field(const KnownCall& call, std::uint32_t offset) noexcept {
  if (offset == offsetof(seccomp_data, nr)) {
    return call.number;
  }
  if (offset == offsetof(seccomp_data, arch)) {
    return own_architecture;
  }
  constexpr std::uint32_t arguments = offsetof(seccomp_data, args);
  if (offset < arguments || offset >= sizeof(seccomp_data)) {
    return std::nullopt;  // the instruction pointer is not known
  }
  const std::optional<std::uint64_t>& argument = call.arguments[(offset - arguments) / 8];
  if (!argument) {
    return std::nullopt;
  }
  return static_cast<std::uint32_t>(offset % 8 == 0 ? *argument : *argument >> 32);
}

/// Returns the distance of a jump; empty where join_programs() does not make such a jump.
std::optional<std::uint32_t> distance(const sock_filter& jump, std::uint32_t value) noexcept {
  switch (jump.code) {
    case BPF_JMP | BPF_JA:
      return jump.k;
    case BPF_JMP | BPF_JEQ | BPF_K:
      return value == jump.k ? jump.jt : jump.jf;
    case BPF_JMP | BPF_JGT | BPF_K:
      return value > jump.k ? jump.jt : jump.jf;
    case BPF_JMP | BPF_JGE | BPF_K:
      return value >= jump.k ? jump.jt : jump.jf;
    case BPF_JMP | BPF_JSET | BPF_K:
      return (value & jump.k) != 0 ? jump.jt : jump.jf;
    default:
      return std::nullopt;
  }
}

}  // namespace

bool lets_through(std::string_view program, const KnownCall& call) noexcept {
  std::uint32_t value = 0;
  const std::size_t size = program.size() / sizeof(sock_filter);
  for (std::size_t at = 0; at < size; ++at) {
    sock_filter now{};
    std::memcpy(&now, program.data() + at * sizeof now, sizeof now);
    if (now.code == (BPF_RET | BPF_K)) {
      const std::uint32_t action = now.k & SECCOMP_RET_ACTION_FULL;
      return action == SECCOMP_RET_ALLOW || action == SECCOMP_RET_LOG;
    }
    if (now.code == (BPF_LD | BPF_W | BPF_ABS)) {
      const std::optional<std::uint32_t> word = field(call, now.k);
      if (!word) {
        return false;
      }
      value = *word;
    } else if (now.code == (BPF_ALU | BPF_AND | BPF_K)) {
      value &= now.k;
    } else if (const auto jump = distance(now, value)) {
      at += *jump;
    } else {
      return false;
    }
  }
  return false;
}

}  // namespace tare

// Runs a seccomp filter as the kernel does, for tests.
#pragma once

#include <linux/filter.h>
#include <linux/seccomp.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string>
#include <vector>

namespace tare::test {

/// Returns the action for `data`; none for an instruction that neither libseccomp nor the core
/// makes, and for a program without an end.
inline std::optional<std::uint32_t> run_filter(const std::vector<sock_filter>& code,
                                               const seccomp_data& data) {
  std::uint32_t a = 0;
  for (std::size_t at = 0; at < code.size(); ++at) {
    const sock_filter& now = code[at];
    bool holds = false;
    switch (now.code) {
      case BPF_LD | BPF_W | BPF_ABS:
        std::memcpy(&a, reinterpret_cast<const char*>(&data) + now.k, sizeof a);
        continue;
      case BPF_ALU | BPF_AND | BPF_K:
        a &= now.k;
        continue;
      case BPF_RET | BPF_K:
        return now.k;
      case BPF_JMP | BPF_JA:
        at += now.k;
        continue;
      case BPF_JMP | BPF_JEQ | BPF_K:
        holds = a == now.k;
        break;
      case BPF_JMP | BPF_JGT | BPF_K:
        holds = a > now.k;
        break;
      case BPF_JMP | BPF_JGE | BPF_K:
        holds = a >= now.k;
        break;
      case BPF_JMP | BPF_JSET | BPF_K:
        holds = (a & now.k) != 0;
        break;
      default:
        return std::nullopt;
    }
    at += holds ? now.jt : now.jf;
  }
  return std::nullopt;
}

/// Returns the instructions of a program that is given as bytes.
inline std::vector<sock_filter> instructions(const std::string& bytes) {
  std::vector<sock_filter> code(bytes.size() / sizeof(sock_filter));
  std::memcpy(code.data(), bytes.data(), bytes.size());
  return code;
}

}  // namespace tare::test

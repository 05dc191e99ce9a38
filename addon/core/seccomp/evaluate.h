// Evaluates a seccomp filter for a system call that is only partly known.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

namespace tare {

/// A system call of this architecture.
struct KnownCall {
  std::uint32_t number = 0;
  std::array<std::optional<std::uint64_t>, 6> arguments;  ///< empty: not known
};

/// Whether `program` (struct sock_filter[], as join_programs() makes it) permits the call whatever
/// its unknown parts are. Returns false also where the action depends on them.
bool lets_through(std::string_view program, const KnownCall& call) noexcept;

}  // namespace tare

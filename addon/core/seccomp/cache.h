/// \file
/// A cache directory of compiled seccomp programs: one file per profile, with the whole profile and
/// its program. Nothing here fails: a cache that cannot be used counts as empty.
#pragma once

#include <optional>
#include <string>

#include "tare/spec.h"

namespace tare {

/// Returns all of `profile` that a program depends on, and `compiler`, which names the compiler, as
/// bytes that no other profile has.
std::string seccomp_cache_key(const Seccomp& profile, const std::string& compiler);

/// Returns the program kept for `key`. None if the entry belongs to another key, is damaged or
/// truncated, or if the directory or the entry belongs to another user or is writable by one.
std::optional<std::string> find_cached_program(const std::string& directory,
                                               const std::string& key);

/// Keeps `program` for `key`, in place of the oldest entry once there are 64.
void cache_program(const std::string& directory, const std::string& key,
                   const std::string& program) noexcept;

}  // namespace tare

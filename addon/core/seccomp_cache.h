/// \file
/// Compiled seccomp programs kept in a directory: one file a profile, which holds the whole profile
/// beside its program. Nothing here fails: a cache that cannot be used is one that has nothing.
#pragma once

#include <optional>
#include <string>

#include "tare/spec.h"

namespace tare {

/// All of `profile` that a program depends on, as bytes that no other profile has, with `compiler`:
/// who compiles it.
std::string seccomp_cache_key(const Seccomp& profile, const std::string& compiler);

/// The program kept for `key`. None if the entry is another key's, damaged or cut short, or if the
/// directory or the entry belongs to another user or could be written by one.
std::optional<std::string> find_cached_program(const std::string& directory,
                                               const std::string& key);

/// Keeps `program` for `key`, in place of the oldest entry once there are 64.
void cache_program(const std::string& directory, const std::string& key,
                   const std::string& program) noexcept;

}  // namespace tare

// See verify.cc.
#pragma once

#include "sys.h"
#include "tare/wire.h"

namespace init {

/// Returns whether the `size` bytes at `begin`, a multiple of 8, are a plan that can be executed
/// without reading or writing beyond them.
bool is_sound(const char* begin, std::uint64_t size);

}  // namespace init

/// \file
/// What the fuzzers share. A fuzzer is a source of this directory with LLVMFuzzerTestOneInput: it
/// hands one input to a reader of the core and checks what must hold whatever the input is. What
/// does not hold ends the program, as a finding of a sanitizer does.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <string>
#include <string_view>

#include "tare/error.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace fuzz {

inline std::string text(const std::uint8_t* data, std::size_t size) {
  return {reinterpret_cast<const char*>(data), size};
}

inline void require(bool holds, std::string_view what) {
  if (!holds) {
    std::fprintf(stderr, "fuzz: %.*s\n", static_cast<int>(what.size()), what.data());
    std::abort();
  }
}

/// Calls `read`; false where it refuses its input. A refusal is an error of the core that says
/// something; anything else that is thrown (std::bad_alloc, std::out_of_range) is a finding.
template <typename Read>
bool accepts(const Read& read) {
  try {
    read();
    return true;
  } catch (const tare::Error& error) {
    const std::string_view message = error.what();
    require(!message.empty() && message.find('\0') == std::string_view::npos, "an error is mute");
    return false;
  }
}

}  // namespace fuzz

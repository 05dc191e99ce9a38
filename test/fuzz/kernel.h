/// \file
/// What stands where the kernel would in a fuzzer of init: sys::call6 of
/// include/tare/raw_syscall.h. It does nothing, answers as the input says, and looks at every byte
/// that the kernel would be given to read or to write, so that AddressSanitizer sees a pointer or a
/// size that is wrong.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace fuzz {

/// init has ended: exit_group(2), or execve(2) of the program.
struct Ended {};

/// What the kernel will answer, a byte or more a call; when it is used up, zero.
/// `plan` is what mmap(2) gives.
void set_kernel(std::span<const std::uint8_t> answers, char* plan);

}  // namespace fuzz

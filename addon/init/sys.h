// What init has in place of a C library: system calls, text, and the memory functions that the
// compiler expects.
#pragma once

#include "tare/raw_syscall.h"

namespace sys {

/// write(2), retried on EINTR.
inline long write(long fd, const void* data, std::size_t size) {
  long result = 0;
  do {
    result = call(__NR_write, fd, data, size);
  } while (result == -EINTR);
  return result;
}

inline std::size_t length(const char* text) {
  std::size_t n = 0;
  while (text[n] != '\0') {
    ++n;
  }
  return n;
}

inline bool equal(const char* a, const char* b) {
  while (*a != '\0' && *a == *b) {
    ++a;
    ++b;
  }
  return *a == *b;
}

}  // namespace sys

extern "C" {
void* memcpy(void* to, const void* from, std::size_t size) noexcept;
void* memset(void* to, int byte, std::size_t size) noexcept;
void* memmove(void* to, const void* from, std::size_t size) noexcept;
int memcmp(const void* a, const void* b, std::size_t size) noexcept;
}

// Raw system calls and the few memory functions that the compiler expects: init has no libc.
#pragma once

#include <asm/errno.h>
#include <asm/unistd.h>

#include <cstddef>
#include <cstdint>
#include <type_traits>

namespace sys {

#if defined(TARE_FUZZ)

/// Calls the fuzzer that init's sources are built into (test/fuzz/kernel.cc), not the kernel.
long call(long number, long a = 0, long b = 0, long c = 0, long d = 0, long e = 0, long f = 0);

#elif defined(__x86_64__)

inline long call(long number, long a = 0, long b = 0, long c = 0, long d = 0, long e = 0,
                 long f = 0) {
  long result;
  register long r10 __asm__("r10") = d;
  register long r8 __asm__("r8") = e;
  register long r9 __asm__("r9") = f;
  __asm__ volatile("syscall"
                   : "=a"(result)
                   : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                   : "rcx", "r11", "memory");
  return result;
}

#elif defined(__aarch64__)

inline long call(long number, long a = 0, long b = 0, long c = 0, long d = 0, long e = 0,
                 long f = 0) {
  register long x8 __asm__("x8") = number;
  register long x0 __asm__("x0") = a;
  register long x1 __asm__("x1") = b;
  register long x2 __asm__("x2") = c;
  register long x3 __asm__("x3") = d;
  register long x4 __asm__("x4") = e;
  register long x5 __asm__("x5") = f;
  __asm__ volatile("svc #0"
                   : "+r"(x0)
                   : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5)
                   : "memory");
  return x0;
}

#else
#error "tare has entry points for x86_64 and aarch64 only"
#endif

/// Converts an argument to the register value that carries it.
template <typename T>
long word(T value) {
  if constexpr (std::is_pointer_v<T>) {
    return reinterpret_cast<long>(value);
  } else if constexpr (std::is_null_pointer_v<T>) {
    return 0;
  } else {
    return static_cast<long>(value);
  }
}

/// Makes a system call and returns its result: >= 0, or -errno.
template <typename... Args>
long run(long number, Args... args) {
  return call(number, word(args)...);
}

/// write(2), retried on EINTR.
inline long write(long fd, const void* data, std::size_t size) {
  long result = 0;
  do {
    result = run(__NR_write, fd, data, size);
  } while (result == -EINTR);
  return result;
}

[[noreturn]] inline void exit(int status) {
  for (;;) {
    call(__NR_exit_group, status);
  }
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

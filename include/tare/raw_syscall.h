/// \file
/// System calls without a C library: for init, for the child between clone3(2) and execve(2), and
/// for the benchmarks' floor. Everything is inlined, so that including this adds no symbol. Uses
/// nothing of the standard library beyond the freestanding headers.
#pragma once

#include <asm/errno.h>
#include <asm/unistd.h>
#include <linux/sched.h>

#include <cstddef>
#include <cstdint>
#include <type_traits>

namespace sys {

#if defined(TARE_FUZZ)

/// Calls the fuzzer that init's sources are built into (test/fuzz/kernel.cc), not the kernel.
long call6(long number, long a = 0, long b = 0, long c = 0, long d = 0, long e = 0, long f = 0);

#elif defined(__x86_64__)

[[gnu::always_inline]] inline long call6(long number, long a = 0, long b = 0, long c = 0,
                                         long d = 0, long e = 0, long f = 0) {
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

[[gnu::always_inline]] inline long call6(long number, long a = 0, long b = 0, long c = 0,
                                         long d = 0, long e = 0, long f = 0) {
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
#error "tare runs on x86_64 and aarch64 only"
#endif

/// Converts an argument to the register value that carries it.
template <typename T>
[[gnu::always_inline]] inline long word(T value) {
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
[[gnu::always_inline]] inline long call(long number, Args... args) {
  return call6(number, word(args)...);
}

/// Calls clone3(2). The child calls `entry(subject)`, which does not return, on the stack that
/// `arguments` names.
[[gnu::always_inline]] inline long clone_onto_stack(clone_args& arguments, void (*entry)(void*),
                                                    void* subject) {
#if defined(__x86_64__)
  long result;
  register void (*r12)(void*) __asm__("r12") = entry;
  register void* r13 __asm__("r13") = subject;
  __asm__ volatile(
      "syscall\n\t"
      "test %%rax, %%rax\n\t"
      "jnz 1f\n\t"
      "xor %%ebp, %%ebp\n\t"
      "mov %%r13, %%rdi\n\t"
      "call *%%r12\n\t"
      "hlt\n"
      "1:"
      : "=a"(result)
      : "a"(__NR_clone3), "D"(&arguments), "S"(sizeof arguments), "r"(r12), "r"(r13)
      : "rcx", "r11", "memory");
  return result;
#else
  register long x8 __asm__("x8") = __NR_clone3;
  register long x0 __asm__("x0") = reinterpret_cast<long>(&arguments);
  register long x1 __asm__("x1") = sizeof arguments;
  register void (*x20)(void*) __asm__("x20") = entry;
  register void* x21 __asm__("x21") = subject;
  __asm__ volatile(
      "svc #0\n\t"
      "cbnz x0, 1f\n\t"
      "mov x29, #0\n\t"
      "mov x0, x21\n\t"
      "blr x20\n\t"
      "brk #1\n"
      "1:"
      : "+r"(x0)
      : "r"(x8), "r"(x1), "r"(x20), "r"(x21)
      : "x30", "memory");
  return x0;
#endif
}

[[noreturn, gnu::always_inline]] inline void exit(int status) {
  for (;;) {
    call(__NR_exit_group, status);
  }
}

}  // namespace sys

// clone3(2) with a separate stack for the child.
#pragma once

#include <linux/sched.h>

#include "sys.h"

namespace init {

/// clone3(2); the child calls `entry`, which does not return, on the stack that `arguments` names.
inline long clone_onto_stack(clone_args& arguments, void (*entry)()) {
#if defined(__x86_64__)
  long result;
  register void (*r12)() __asm__("r12") = entry;
  __asm__ volatile(
      "syscall\n\t"
      "test %%rax, %%rax\n\t"
      "jnz 1f\n\t"
      "xor %%ebp, %%ebp\n\t"
      "call *%%r12\n\t"
      "hlt\n"
      "1:"
      : "=a"(result)
      : "a"(__NR_clone3), "D"(&arguments), "S"(sizeof arguments), "r"(r12)
      : "rcx", "r11", "memory");
  return result;
#else
  register long x8 __asm__("x8") = __NR_clone3;
  register long x0 __asm__("x0") = reinterpret_cast<long>(&arguments);
  register long x1 __asm__("x1") = sizeof arguments;
  register void (*x20)() __asm__("x20") = entry;
  __asm__ volatile(
      "svc #0\n\t"
      "cbnz x0, 1f\n\t"
      "mov x29, #0\n\t"
      "blr x20\n\t"
      "brk #1\n"
      "1:"
      : "+r"(x0)
      : "r"(x8), "r"(x1), "r"(x20)
      : "x30", "memory");
  return x0;
#endif
}

}  // namespace init

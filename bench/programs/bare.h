// System calls, program entry and output for the kernel-floor program, in place of a C library.
//
// A static C library executes dozens of CPUID instructions before main, each of which traps on
// virtual machines. That can cost more than the process itself, and a floor must not pay for it.
// Include this from one source only: it defines the entry.
#pragma once

#include <asm/unistd.h>
#include <linux/sched.h>
#include <linux/time_types.h>

using Word = long;
using U64 = unsigned long long;

extern "C" void* memset(void* to, int byte, unsigned long size) {
  auto* at = static_cast<volatile char*>(to);
  for (unsigned long i = 0; i < size; i++) at[i] = static_cast<char>(byte);
  return to;
}

extern "C" void* memcpy(void* to, const void* from, unsigned long size) {
  auto* out = static_cast<volatile char*>(to);
  const auto* in = static_cast<const char*>(from);
  for (unsigned long i = 0; i < size; i++) out[i] = in[i];
  return to;
}

namespace bare {

template <class T>
Word word(T* pointer) {
  return reinterpret_cast<Word>(pointer);
}
template <class T>
Word word(T number) {
  return static_cast<Word>(number);
}
inline Word word(decltype(nullptr)) { return 0; }

inline Word call6(Word number, Word a, Word b, Word c, Word d, Word e, Word f) {
#if defined(__x86_64__)
  Word result;
  register Word r10 asm("r10") = d;
  register Word r8 asm("r8") = e;
  register Word r9 asm("r9") = f;
  asm volatile("syscall"
               : "=a"(result)
               : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
               : "rcx", "r11", "memory");
  return result;
#elif defined(__aarch64__)
  register Word x8 asm("x8") = number;
  register Word x0 asm("x0") = a;
  register Word x1 asm("x1") = b;
  register Word x2 asm("x2") = c;
  register Word x3 asm("x3") = d;
  register Word x4 asm("x4") = e;
  register Word x5 asm("x5") = f;
  asm volatile("svc #0"
               : "+r"(x0)
               : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5)
               : "memory");
  return x0;
#else
#error "bare.h knows x86_64 and aarch64"
#endif
}

/// Makes a system call; returns its result, or negative errno.
template <class... Arguments>
Word call(Word number, Arguments... arguments) {
  Word words[6] = {word(arguments)...};
  return call6(number, words[0], words[1], words[2], words[3], words[4], words[5]);
}

/// clone3 with a separate stack for the child (arguments.stack). The child runs function(context),
/// which must not return. Returns the child's pid, or negative errno, in the parent.
inline Word clone_onto_stack(clone_args& arguments, void (*function)(void*), void* context) {
#if defined(__x86_64__)
  Word result;
  register void* r12 asm("r12") = context;
  register void (*r13)(void*) asm("r13") = function;
  asm volatile(
      "syscall\n"
      "test %%rax, %%rax\n"
      "jnz 1f\n"
      "xor %%ebp, %%ebp\n"
      "mov %%r12, %%rdi\n"
      "call *%%r13\n"
      "hlt\n"
      "1:"
      : "=a"(result)
      : "a"(__NR_clone3), "D"(&arguments), "S"(sizeof arguments), "r"(r12), "r"(r13)
      : "rcx", "r11", "memory");
  return result;
#else
  register Word x8 asm("x8") = __NR_clone3;
  register Word x0 asm("x0") = word(&arguments);
  register Word x1 asm("x1") = sizeof arguments;
  register void* x19 asm("x19") = context;
  register void (*x20)(void*) asm("x20") = function;
  asm volatile(
      "svc #0\n"
      "cbnz x0, 1f\n"
      "mov x29, xzr\n"
      "mov x0, x19\n"
      "blr x20\n"
      "brk #0\n"
      "1:"
      : "+r"(x0)
      : "r"(x8), "r"(x1), "r"(x19), "r"(x20)
      : "memory");
  return x0;
#endif
}

[[noreturn]] inline void exit(int status) {
  for (;;) call(__NR_exit_group, status);
}

inline U64 now_ns() {
  __kernel_timespec time = {};
  call(__NR_clock_gettime, 1 /* CLOCK_MONOTONIC */, &time);
  return static_cast<U64>(time.tv_sec) * 1000000000 + static_cast<U64>(time.tv_nsec);
}

inline unsigned long length(const char* text) {
  unsigned long n = 0;
  while (text[n] != 0) n++;
  return n;
}

inline bool equal(const char* a, const char* b) {
  while (*a != 0 && *a == *b) a++, b++;
  return *a == *b;
}

/// Parses decimal digits only; returns false if there is anything else.
inline bool parse_number(const char* text, U64& number) {
  number = 0;
  if (*text == 0) return false;
  for (; *text != 0; text++) {
    if (*text < '0' || *text > '9') return false;
    number = number * 10 + static_cast<U64>(*text - '0');
  }
  return true;
}

/// Text in a fixed buffer; what does not fit is dropped.
class Text {
 public:
  Text& add(const char* text) {
    for (; *text != 0 && size_ < sizeof buffer_ - 1; text++) buffer_[size_++] = *text;
    buffer_[size_] = 0;
    return *this;
  }
  Text& add(U64 number) {
    char digits[24];
    char* at = digits + sizeof digits;
    *--at = 0;
    do *--at = static_cast<char>('0' + number % 10);
    while ((number /= 10) != 0);
    return add(at);
  }
  const char* c_str() const { return buffer_; }
  void write_to(int fd) const { call(__NR_write, fd, buffer_, size_); }

 private:
  unsigned long size_ = 0;
  char buffer_[4096];
};

}  // namespace bare

/// The program's main, with arguments and environment as the kernel laid them out.
int program(int count, char** arguments);

extern "C" [[noreturn]] void enter(Word* stack) {
  bare::exit(program(static_cast<int>(stack[0]), reinterpret_cast<char**>(stack + 1)));
}

#if defined(__x86_64__)
asm(".globl _start\n_start: xor %ebp, %ebp\n mov %rsp, %rdi\n and $-16, %rsp\n call enter\n");
#else
asm(".globl _start\n_start: mov x29, xzr\n mov x0, sp\n bl enter\n");
#endif

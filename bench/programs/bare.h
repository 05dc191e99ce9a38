// Program entry, time and output for the kernel-floor program, in place of a C library.
//
// A static C library executes dozens of CPUID instructions before main, each of which traps on
// virtual machines. That can cost more than the process itself, and a floor must not pay for it.
// Include this from one source only: it defines the entry.
#pragma once

#include <linux/time_types.h>

#include "tare/raw_syscall.h"

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

inline U64 now_ns() {
  __kernel_timespec time = {};
  sys::call(__NR_clock_gettime, 1 /* CLOCK_MONOTONIC */, &time);
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
  void write_to(int fd) const { sys::call(__NR_write, fd, buffer_, size_); }

 private:
  unsigned long size_ = 0;
  char buffer_[4096];
};

}  // namespace bare

/// The program's main, with arguments and environment as the kernel laid them out.
int program(int count, char** arguments);

extern "C" [[noreturn]] void enter(Word* stack) {
  sys::exit(program(static_cast<int>(stack[0]), reinterpret_cast<char**>(stack + 1)));
}

#if defined(__x86_64__)
asm(".globl _start\n_start: xor %ebp, %ebp\n mov %rsp, %rdi\n and $-16, %rsp\n call enter\n");
#else
asm(".globl _start\n_start: mov x29, xzr\n mov x0, sp\n bl enter\n");
#endif

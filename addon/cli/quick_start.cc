// The code that runs before main, without CPUID.
//
// A static glibc program executes some sixty CPUID instructions before main, to choose among its
// string functions and to size caches. Each traps to the hypervisor in a virtual machine: 70 to 270
// µs, more than the whole of `tare state`. This __libc_start_main does what glibc's own does except
// that; the string functions are then the baseline ones (SSE2). It uses internal names of glibc, so
// cmake/quick_start.cmake takes it only for the versions of glibc that it was checked with, and
// only if a test program runs with it; otherwise glibc's own is linked.
//
// The thread pointer does not exist yet: no stack protector, no errno, no exceptions in here.
#include <elf.h>
#include <link.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>

namespace {
using Function = void (*)(int, char**, char**);
using Resolver = std::uintptr_t (*)();
}  // namespace

extern "C" {
// Internals of glibc, as its csu/libc-start.c uses them.
extern char** __environ;
extern void* __libc_stack_end;
extern void* _dl_random;
extern int __libc_enable_secure;
void _dl_aux_init(ElfW(auxv_t) * vector);
void __tunables_init(char** environment);
void __libc_setup_tls();
void __libc_early_init(bool initial);
void __libc_init_first(int argc, char** argv, char** environment);
void _init();

// Defined by the linker.
extern const ElfW(Rela) __rela_iplt_start[];
extern const ElfW(Rela) __rela_iplt_end[];
extern Function __preinit_array_start[];
extern Function __preinit_array_end[];
extern Function __init_array_start[];
extern Function __init_array_end[];

// What glibc's start would compute from CPUID for its string functions; the values are glibc's
// defaults for an unknown processor. They are defined here because they live in the object file
// that this one replaces.
long __x86_data_cache_size_half = 32 * 1024 / 2;
long __x86_data_cache_size = 32 * 1024;
long __x86_shared_cache_size_half = 1024 * 1024 / 2;
long __x86_shared_cache_size = 1024 * 1024;
long __x86_shared_non_temporal_threshold = 1024 * 1024 * 3 / 4;
long __x86_rep_movsb_threshold = 2048;
long __x86_rep_stosb_threshold = 2048;
long __x86_rep_movsb_stop_threshold = 1024 * 1024 * 3 / 4;
int __x86_string_control = 0;

// The executable's directory, for $ORIGIN in the search paths of shared objects, stays unknown:
// nothing here loads one. glibc's own reads /proc/self/exe, which procfs makes anew for each
// process (15 µs).
const char* _dl_get_origin() { return reinterpret_cast<const char*>(-1); }

int __libc_start_main(int (*program)(int, char**, char**), int argc, char** argv, void (*)(),
                      void (*)(), void (*)(), void* stack_end) {
  char** environment = argv + argc + 1;
  __environ = environment;
  __libc_stack_end = stack_end;
  char** end = environment;
  while (*end != nullptr) {
    ++end;
  }
  _dl_aux_init(reinterpret_cast<ElfW(auxv_t)*>(end + 1));
  if (__libc_enable_secure != 0) {
    // glibc would clean the environment and check descriptors. tare must never be set-user-ID.
    _exit(127);
  }
  __tunables_init(environment);
  for (const ElfW(Rela)* entry = __rela_iplt_start; entry < __rela_iplt_end; ++entry) {
    const auto resolve = reinterpret_cast<Resolver>(entry->r_addend);
    *reinterpret_cast<std::uintptr_t*>(entry->r_offset) = resolve();
  }
  __libc_setup_tls();

  // The stack canary and the pointer guard (setjmp(3)), at their offsets in the thread control
  // block.
  std::uintptr_t canary = 0;
  std::uintptr_t pointer_guard = 0;
  __builtin_memcpy(&canary, _dl_random, sizeof canary);
  __builtin_memcpy(&pointer_guard, static_cast<char*>(_dl_random) + sizeof canary,
                   sizeof pointer_guard);
  canary &= ~std::uintptr_t{0xff};
  __asm__ volatile("mov %0, %%fs:0x28" : : "r"(canary));
  __asm__ volatile("mov %0, %%fs:0x30" : : "r"(pointer_guard));

  __libc_early_init(true);
  __libc_init_first(argc, argv, environment);
  for (Function* function = __preinit_array_start; function < __preinit_array_end; ++function) {
    (*function)(argc, argv, environment);
  }
  _init();
  for (Function* function = __init_array_start; function < __init_array_end; ++function) {
    (*function)(argc, argv, environment);
  }
  std::exit(program(argc, argv, environment));
}
}

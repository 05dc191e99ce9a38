# Flags of the three environments: the host side (core, command line, addon), the child
# between clone and exec, and the freestanding init.

set(warning_options
    -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wsign-conversion -Wnon-virtual-dtor
    -Woverloaded-virtual -Wsuggest-override -Wold-style-cast -Wzero-as-null-pointer-constant
    -Wimplicit-fallthrough -Wformat=2
    # Designated initializers omit fields that are zero, as is usual for the kernel's argument
    # structures.
    -Wno-missing-field-initializers
    # False positives of gcc 12: it takes std::string's own copying for overlapping (gcc PR 105651),
    # and does not see that std::optional destroys only a value that it holds (gcc PR 80635).
    -Wno-restrict -Wno-maybe-uninitialized)
if(TARE_WERROR)
  list(APPEND warning_options -Werror)
endif()

# A sanitizer's finding ends the program, so that no test can miss it. _FORTIFY_SOURCE would hide
# calls from the sanitizers.
set(sanitize_options "")
set(hardening_options -fstack-protector-strong $<$<CONFIG:Release>:-D_FORTIFY_SOURCE=2>)
if(TARE_SANITIZE)
  set(sanitize_options -fsanitize=${TARE_SANITIZE} -fno-sanitize-recover=all)
  set(hardening_options -fno-omit-frame-pointer -D_GLIBCXX_ASSERTIONS)
endif()
if(TARE_FUZZ)
  list(APPEND sanitize_options -fsanitize=fuzzer-no-link,float-cast-overflow
                               -fno-sanitize-recover=all)
  # clang does not support all of gcc's options; its warnings about them would hide those about the
  # code.
  list(APPEND warning_options -Wno-unknown-warning-option -Wno-ignored-optimization-argument)
  add_link_options(-Wno-unused-command-line-argument)
endif()

set(host_compile_options
    ${warning_options} ${sanitize_options} -ffunction-sections -fdata-sections
    -DTARE_VERSION="${PROJECT_VERSION}"
    ${hardening_options})

# The child of clone3 runs in its parent's address space (CLONE_VM): it must not call into libc,
# read the stack protector's canary through the thread pointer, or need the C++ runtime.
#
# gcc must not turn the loops of memcpy and memset into calls of memcpy and memset; for clang
# -ffreestanding ensures that.
set(no_library_calls -ffreestanding $<$<CXX_COMPILER_ID:GNU>:-fno-tree-loop-distribute-patterns>)
set(vfork_child_compile_options
    -fno-stack-protector -fno-exceptions -fno-sanitize=all -U_FORTIFY_SOURCE ${no_library_calls})

# Segments are aligned to the largest page size that the kernel may have.
if(CMAKE_SYSTEM_PROCESSOR STREQUAL "x86_64")
  set(max_page_size 4096)
else()
  set(max_page_size 65536)
endif()

# A static executable without position independence has no relocations to process; without RELRO it
# has no mprotect(2) to call; and with headers, code and read-only data in one segment it faults in
# the fewest pages.
#
# gcc's start files for static programs register .eh_frame explicitly, and then the first throw
# sorts all of it (0.2 ms). Those for dynamic programs let the unwinder find the sorted
# .eh_frame_hdr through the program headers, which works in a static program as well.
#
# The sanitizers' runtimes exist only for dynamic programs.
set(static_link_options -no-pie)
if(NOT TARE_SANITIZE)
  set(start_files "")
  foreach(file crt1.o crti.o crtbegin.o crtend.o crtn.o)
    execute_process(
      COMMAND ${CMAKE_CXX_COMPILER} -print-file-name=${file}
      OUTPUT_VARIABLE path OUTPUT_STRIP_TRAILING_WHITESPACE)
    list(APPEND start_files ${path})
  endforeach()
  set(static_link_options
      -static -no-pie -nostartfiles ${start_files} -Wl,--eh-frame-hdr -Wl,--gc-sections
      -Wl,-z,noseparate-code -Wl,-z,max-page-size=${max_page_size} -Wl,-z,norelro -Wl,-z,noexecstack
      -Wl,--build-id=none)
  if(TARE_WERROR)
    # One such warning is ld's own, about libc functions that load shared libraries even in a static
    # program (NSS).
    list(APPEND static_link_options -Wl,--fatal-warnings)
  endif()
endif()

# nodelete: Node unloads an addon with the last worker thread that uses it, but the addon's own
# threads continue.
#
# Templates of the standard library are visible regardless of -fvisibility: the addon must neither
# export its own to Node nor use those of another addon.
set(addon_link_options
    -Wl,--version-script=${CMAKE_SOURCE_DIR}/cmake/addon.map -Wl,--gc-sections
    -Wl,--exclude-libs,ALL -Wl,-z,noexecstack -Wl,-z,now -Wl,-z,nodelete)

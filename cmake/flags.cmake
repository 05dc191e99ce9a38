# Flags of the three worlds: the host side (core, command line, addon), the stub between clone and
# exec, and the freestanding init.

set(warning_options
    -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wsign-conversion -Wnon-virtual-dtor
    -Woverloaded-virtual -Wsuggest-override -Wold-style-cast -Wzero-as-null-pointer-constant
    -Wimplicit-fallthrough -Wformat=2
    # Designated initializers leave out what is zero, as the kernel's argument structures want.
    -Wno-missing-field-initializers
    # gcc 12 takes std::string's own copying for overlapping (gcc PR 105651), and does not see that
    # std::optional destroys only what it holds (gcc PR 80635).
    -Wno-restrict -Wno-maybe-uninitialized)
if(TARE_WERROR)
  list(APPEND warning_options -Werror)
endif()

# What a sanitizer finds ends the program: a test must not be able to overlook it. _FORTIFY_SOURCE
# would take calls out of the sanitizers' sight.
set(sanitize_options "")
set(hardening_options -fstack-protector-strong $<$<CONFIG:Release>:-D_FORTIFY_SOURCE=2>)
if(TARE_SANITIZE)
  set(sanitize_options -fsanitize=${TARE_SANITIZE} -fno-sanitize-recover=all)
  set(hardening_options -fno-omit-frame-pointer -D_GLIBCXX_ASSERTIONS)
endif()
if(TARE_FUZZ)
  list(APPEND sanitize_options -fsanitize=fuzzer-no-link,float-cast-overflow
                               -fno-sanitize-recover=all)
  # clang does not know all of gcc's options; what it would say of them hides what it says of us.
  list(APPEND warning_options -Wno-unknown-warning-option -Wno-ignored-optimization-argument)
  add_link_options(-Wno-unused-command-line-argument)
endif()

set(host_compile_options
    ${warning_options} ${sanitize_options} -ffunction-sections -fdata-sections
    -DTARE_VERSION="${PROJECT_VERSION}"
    ${hardening_options})

# The stub runs in a borrowed address space (CLONE_VM): nothing in it may call into libc, touch the
# stack protector's canary in the thread pointer, or need the C++ runtime.
#
# The loops of memcpy and memset themselves must not become calls of memcpy and memset; clang is
# told so by -ffreestanding.
set(no_library_calls -ffreestanding $<$<CXX_COMPILER_ID:GNU>:-fno-tree-loop-distribute-patterns>)
set(stub_compile_options
    -fno-stack-protector -fno-exceptions -fno-sanitize=all -U_FORTIFY_SOURCE ${no_library_calls})

# Segments are laid out for the largest page size that the kernel may have.
if(CMAKE_SYSTEM_PROCESSOR STREQUAL "x86_64")
  set(max_page_size 4096)
else()
  set(max_page_size 65536)
endif()

# A static executable without position independence has no relocations to process, without RELRO no
# mprotect to make, and with headers, code and read-only data in one segment the fewest pages to
# fault in.
#
# gcc's start files for static programs register .eh_frame by hand, and then the first throw sorts
# all of it (0.2 ms). Those for dynamic programs let the unwinder find the sorted .eh_frame_hdr
# through the program headers, which works in a static program as well.
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
    # Such as ld's own warning of libc functions that load shared libraries all the same (NSS).
    list(APPEND static_link_options -Wl,--fatal-warnings)
  endif()
endif()

# nodelete: Node unloads an addon with the last worker thread that uses it, but the addon's own
# threads stay.
#
# Templates of the standard library are visible whatever -fvisibility says: the addon must neither
# offer its own to Node nor use those of another addon.
set(addon_link_options
    -Wl,--version-script=${CMAKE_SOURCE_DIR}/cmake/addon.map -Wl,--gc-sections
    -Wl,--exclude-libs,ALL -Wl,-z,noexecstack -Wl,-z,now -Wl,-z,nodelete)

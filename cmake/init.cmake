# tare-init: no libc, no C++ runtime, no relocations. It is built with its symbols as
# build/tare-init (for gdb and perf), and stripped as build/tare-init.image, which the core embeds
# between the symbols tare_init_image_start and tare_init_image_end.

file(GLOB init_sources CONFIGURE_DEPENDS addon/init/*.cc)
set(init_start addon/init/start_${CMAKE_SYSTEM_PROCESSOR}.S)

set(init_image_source "")
if(init_sources)
  add_executable(tare-init ${init_sources} ${init_start})
  # Only what the host and init share is included from this directory.
  target_include_directories(tare-init PRIVATE include)
  target_compile_options(
    tare-init
    PRIVATE -Os -fno-pie -fomit-frame-pointer -ffunction-sections -fdata-sections
            -fno-stack-protector -fno-asynchronous-unwind-tables -fno-unwind-tables -fno-ident
            ${no_library_calls} -U_FORTIFY_SOURCE
            $<$<COMPILE_LANGUAGE:CXX>:-fno-exceptions -fno-rtti -fno-threadsafe-statics>
            $<$<COMPILE_LANGUAGE:CXX>:${warning_options}>)
  if(CMAKE_SYSTEM_PROCESSOR STREQUAL "x86_64")
    target_compile_options(tare-init PRIVATE -fcf-protection=none)
  else()
    # Out-of-line atomics are functions of libgcc.
    target_compile_options(tare-init PRIVATE -mno-outline-atomics -mbranch-protection=none)
  endif()
  target_link_options(
    tare-init PRIVATE -nostdlib -static -no-pie -Wl,--gc-sections -Wl,-z,noseparate-code
    -Wl,-z,max-page-size=${max_page_size} -Wl,-z,norelro -Wl,-z,noexecstack -Wl,--build-id=none
    -Wl,--orphan-handling=warn)
  set_target_properties(tare-init PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR})

  set(init_image ${CMAKE_BINARY_DIR}/tare-init.image)
  add_custom_command(
    OUTPUT ${init_image}
    COMMAND ${CMAKE_STRIP} --strip-all -o ${init_image} $<TARGET_FILE:tare-init>
    DEPENDS tare-init
    VERBATIM)

  set(init_image_source ${CMAKE_BINARY_DIR}/init_image.S)
  configure_file(cmake/init_image.S.in ${init_image_source} @ONLY)
  # The assembler's dependency scan does not see .incbin.
  set_source_files_properties(${init_image_source} PROPERTIES OBJECT_DEPENDS ${init_image})
endif()

# Whether the command line may skip glibc's CPUID probing at startup (addon/cli/quick_start.cc): on
# x86_64, with a glibc version that it was checked with, and if a program that uses the same
# functions as the command line runs with it.

set(quick_start_source addon/cli/quick_start.cc)
set(quick_start_options -fno-stack-protector -U_FORTIFY_SOURCE -fno-exceptions -Wno-pedantic)
set(quick_start_glibc 2.36)
set(TARE_QUICK_START OFF)

if(CMAKE_SYSTEM_PROCESSOR STREQUAL "x86_64" AND NOT CMAKE_CROSSCOMPILING AND NOT TARE_SANITIZE)
  execute_process(
    COMMAND ${CMAKE_CXX_COMPILER} -dM -E -include features.h -x c++ /dev/null
    OUTPUT_VARIABLE macros ERROR_QUIET)
  string(REGEX MATCH "__GLIBC__ ([0-9]+)" _ "${macros}")
  set(glibc_version ${CMAKE_MATCH_1})
  string(REGEX MATCH "__GLIBC_MINOR__ ([0-9]+)" _ "${macros}")
  set(glibc_version ${glibc_version}.${CMAKE_MATCH_1})
  if(glibc_version IN_LIST quick_start_glibc)
    try_run(
      quick_start_status quick_start_compiled ${CMAKE_BINARY_DIR}/quick_start
      SOURCES ${CMAKE_SOURCE_DIR}/cmake/quick_start_check.cc ${CMAKE_SOURCE_DIR}/${quick_start_source}
      COMPILE_DEFINITIONS -O2 ${quick_start_options} -fexceptions
      LINK_OPTIONS ${static_link_options}
      CXX_STANDARD 20)
    if(quick_start_compiled AND quick_start_status EQUAL 0)
      set(TARE_QUICK_START ON)
    else()
      set(quick_start_lack "a program that uses it fails")
    endif()
  else()
    set(quick_start_lack "glibc ${glibc_version} is not among the versions that it was checked with "
                         "(${quick_start_glibc})")
  endif()
  if(NOT TARE_QUICK_START)
    string(CONCAT quick_start_lack ${quick_start_lack})
    # scripts/build shows lines that begin with "note:".
    message(STATUS "note: tare is built without its quick start: ${quick_start_lack}; in a virtual "
                   "machine each command takes 0.1 to 0.3 ms longer")
  endif()
endif()
set_source_files_properties(${quick_start_source} PROPERTIES COMPILE_OPTIONS "${quick_start_options}")

# build/generated/tare_commit.h: the commit that is built, for `tare --version`. Each build checks
# it and rewrites it only if the commit has changed.

set(commit_header ${CMAKE_BINARY_DIR}/generated/tare_commit.h)

if(CMAKE_SCRIPT_MODE_FILE)
  cmake_minimum_required(VERSION 3.25)
  # Sources without git history, or those of another user, have no commit.
  set(commit unknown)
  execute_process(
    COMMAND git rev-parse --verify HEAD
    WORKING_DIRECTORY ${CMAKE_CURRENT_LIST_DIR}
    OUTPUT_VARIABLE output
    OUTPUT_STRIP_TRAILING_WHITESPACE
    ERROR_QUIET
    RESULT_VARIABLE result)
  if(result EQUAL 0)
    set(commit ${output})
  endif()
  # The date of the manual pages. Without history it is the time of the build, or SOURCE_DATE_EPOCH.
  string(TIMESTAMP date "%Y-%m-%d" UTC)
  execute_process(
    COMMAND git show --no-patch --format=%cs HEAD
    WORKING_DIRECTORY ${CMAKE_CURRENT_LIST_DIR}
    OUTPUT_VARIABLE output
    OUTPUT_STRIP_TRAILING_WHITESPACE
    ERROR_QUIET
    RESULT_VARIABLE result)
  if(result EQUAL 0)
    set(date ${output})
  endif()
  file(CONFIGURE OUTPUT ${commit_header} CONTENT
       "#define TARE_COMMIT \"@commit@\"\n#define TARE_COMMIT_DATE \"@date@\"\n" @ONLY)
else()
  add_custom_target(
    tare-commit
    COMMAND ${CMAKE_COMMAND} -P ${CMAKE_CURRENT_LIST_FILE}
    WORKING_DIRECTORY ${CMAKE_BINARY_DIR}
    BYPRODUCTS ${commit_header}
    VERBATIM)
endif()

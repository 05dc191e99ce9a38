# Compiles the sources of a folder together, eight at a time: most of the time goes into the standard
# library's headers, so a build takes a third. Sources with compile options of their own stay apart.
#
# With -DTARE_UNITY=OFF each source is compiled by itself, which finds a missing #include and gives
# editors a compile command for each file.

option(TARE_UNITY "compile the sources of a folder together" ON)

# compile_by_folder(TARGET): after all sources have been added to it
function(compile_by_folder target)
  if(NOT TARE_UNITY)
    return()
  endif()
  get_target_property(sources ${target} SOURCES)
  list(FILTER sources INCLUDE REGEX "[.]cc$")
  foreach(source IN LISTS sources)
    cmake_path(ABSOLUTE_PATH source)
    cmake_path(RELATIVE_PATH source BASE_DIRECTORY ${CMAKE_SOURCE_DIR} OUTPUT_VARIABLE path)
    cmake_path(GET path PARENT_PATH folder)
    string(REPLACE "/" "-" folder ${folder})
    math(EXPR part "0${count_${folder}} / 8")
    math(EXPR count_${folder} "0${count_${folder}} + 1")
    set_source_files_properties(${source} PROPERTIES UNITY_GROUP ${folder}-${part})
  endforeach()
  set_target_properties(${target} PROPERTIES UNITY_BUILD ON UNITY_BUILD_MODE GROUP)
endfunction()

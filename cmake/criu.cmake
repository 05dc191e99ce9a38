# The messages of addon/core/checkpoint/criu.proto as C structs (protobuf-c), for the files beside it.
# protobuf-c is the smallest of Debian's libraries for them, and needs no initialisation.

find_program(PROTOC_C protoc-c)
find_path(PROTOBUF_C_INCLUDE protobuf-c/protobuf-c.h)
find_library(PROTOBUF_C_LIBRARY libprotobuf-c.a)
if(NOT PROTOC_C OR NOT PROTOBUF_C_INCLUDE OR NOT PROTOBUF_C_LIBRARY)
  message(FATAL_ERROR "protoc-c or libprotobuf-c.a not found: "
                      "apt-get install protobuf-c-compiler libprotobuf-c-dev")
endif()

set(criu_messages ${CMAKE_BINARY_DIR}/criu-messages)
file(MAKE_DIRECTORY ${criu_messages})
add_custom_command(
  OUTPUT ${criu_messages}/criu.pb-c.c ${criu_messages}/criu.pb-c.h
  COMMAND ${PROTOC_C} --proto_path=${CMAKE_SOURCE_DIR}/addon/core/checkpoint --c_out=${criu_messages} criu.proto
  DEPENDS ${CMAKE_SOURCE_DIR}/addon/core/checkpoint/criu.proto
  VERBATIM)

function(use_criu_messages target)
  # The generated code compiles as C++, too. It is third-party code, so its warnings are disabled.
  set_source_files_properties(${criu_messages}/criu.pb-c.c PROPERTIES
    LANGUAGE CXX COMPILE_OPTIONS -w)
  target_sources(${target} PRIVATE ${criu_messages}/criu.pb-c.c)
  target_include_directories(${target} SYSTEM PRIVATE ${criu_messages} ${PROTOBUF_C_INCLUDE})
  target_link_libraries(${target} PUBLIC ${PROTOBUF_C_LIBRARY})
endfunction()

# flotilla_add_plugin: a plugin from its sources and its schema.
#
#   flotilla_add_plugin(NAME SOURCES file… [SCHEMA file.capnp…] [LIBS target…]
#                       [OUTPUT_DIRECTORY folder] [NO_CHECK])
#
# Builds NAME.so in ${CMAKE_BINARY_DIR}/plugins. NAME is also the plugin's name, [a-z0-9][a-z0-9._-]*: sources find it
# as FLOTILLA_PLUGIN_NAME. A schema `kv.capnp` is included as "kv.capnp.h"; its generated code is the library
# NAME_schema, for tests and clients. The link ends with a check of what was built, by flotilla-plugin-check, which
# loads it: an interface whose methods and handlers do not agree is no plugin. NO_CHECK leaves that out.

# flotilla_add_plugin_test(NAME SOURCES file…): a program NAME_test that includes the plugin's sources and
# <flotilla/harness.h>, and is a test of ctest's: one that ends with 0 has passed.
#
# flotilla_add_cluster_test(NAME SOURCES file…): the same as NAME_cluster_test, for <sdk/testing/cluster.h>: three hosts
# in the test's process run the plugin as it was built.

# Generated code for each schema, as the static library TARGET.
function(flotilla_schema_library target)
  set(generated ${CMAKE_CURRENT_BINARY_DIR}/${target})
  file(MAKE_DIRECTORY ${generated})
  set(CAPNPC_OUTPUT_DIR ${generated})
  set(CAPNPC_SRC_PREFIX ${CMAKE_CURRENT_SOURCE_DIR})
  set(sources "")
  foreach(schema ${ARGN})
    get_filename_component(schema ${schema} ABSOLUTE)
    get_filename_component(CAPNPC_SRC_PREFIX ${schema} DIRECTORY)
    capnp_generate_cpp(schema_sources schema_headers ${schema})
    list(APPEND sources ${schema_sources})
  endforeach()
  add_library(${target} STATIC ${sources})
  set_target_properties(${target} PROPERTIES POSITION_INDEPENDENT_CODE ON
    CXX_VISIBILITY_PRESET hidden VISIBILITY_INLINES_HIDDEN ON)
  target_include_directories(${target} SYSTEM PUBLIC ${generated})
  target_link_libraries(${target} PUBLIC CapnProto::capnp-rpc CapnProto::capnp)
endfunction()

function(flotilla_add_plugin name)
  cmake_parse_arguments(ARG "NO_CHECK" "OUTPUT_DIRECTORY" "SOURCES;SCHEMA;LIBS" ${ARGN})
  if(NOT ARG_SOURCES)
    message(FATAL_ERROR "flotilla_add_plugin(${name}): no SOURCES; name the file that ends with FLOTILLA_PLUGIN(...)")
  endif()
  if(NOT name MATCHES "^[a-z0-9][a-z0-9._-]*$")
    message(FATAL_ERROR "flotilla_add_plugin(${name}): a plugin's name is lower case: [a-z0-9][a-z0-9._-]*")
  endif()
  if(NOT ARG_OUTPUT_DIRECTORY)
    set(ARG_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/plugins)
  endif()

  add_library(${name} MODULE ${ARG_SOURCES})
  set_target_properties(${name} PROPERTIES PREFIX "" SUFFIX ".so"
    LIBRARY_OUTPUT_DIRECTORY ${ARG_OUTPUT_DIRECTORY}
    CXX_VISIBILITY_PRESET hidden C_VISIBILITY_PRESET hidden VISIBILITY_INLINES_HIDDEN ON)
  target_compile_features(${name} PRIVATE cxx_std_20)
  target_compile_definitions(${name} PRIVATE FLOTILLA_PLUGIN_NAME="${name}")
  # Replicas must compute the same: no fused multiply-add where only one of them has it. Unique symbols
  # would be shared by two versions of a plugin in one process.
  target_compile_options(${name} PRIVATE -ffp-contract=off)
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    target_compile_options(${name} PRIVATE $<$<COMPILE_LANGUAGE:CXX>:-fno-gnu-unique>)
  endif()
  set(script ${CMAKE_CURRENT_FUNCTION_LIST_DIR}/plugin.version)
  target_link_options(${name} PRIVATE -Wl,--version-script=${script})
  set_property(TARGET ${name} APPEND PROPERTY LINK_DEPENDS ${script})
  if(NOT FLOTILLA_SANITIZE)
    target_link_options(${name} PRIVATE -Wl,-z,defs)  # a sanitizer's own symbols come with the program
  endif()
  target_link_libraries(${name} PRIVATE Flotilla::sdk ${ARG_LIBS})
  if(ARG_SCHEMA)
    flotilla_schema_library(${name}_schema ${ARG_SCHEMA})
    if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
      target_compile_options(${name}_schema PRIVATE -fno-gnu-unique)
    endif()
    target_link_libraries(${name} PRIVATE ${name}_schema)
  endif()
  if(TARGET flotilla_warnings)
    target_link_libraries(${name} PRIVATE flotilla_warnings)
  endif()
  if(NOT ARG_NO_CHECK)
    add_dependencies(${name} flotilla-plugin-check)
    add_custom_command(TARGET ${name} POST_BUILD
      COMMAND $<TARGET_FILE:flotilla-plugin-check> --quiet $<TARGET_FILE:${name}> VERBATIM)
  endif()
endfunction()

function(flotilla_add_plugin_test name)
  cmake_parse_arguments(ARG "" "" "SOURCES;LIBS" ${ARGN})
  if(NOT TARGET ${name})
    message(FATAL_ERROR "flotilla_add_plugin_test(${name}): no such plugin; flotilla_add_plugin(${name} …) comes first")
  endif()
  add_executable(${name}_test ${ARG_SOURCES})
  target_compile_features(${name}_test PRIVATE cxx_std_20)
  target_compile_definitions(${name}_test PRIVATE FLOTILLA_PLUGIN_NAME="${name}")
  target_include_directories(${name}_test PRIVATE ${CMAKE_CURRENT_SOURCE_DIR})
  target_link_libraries(${name}_test PRIVATE Flotilla::sdk ${ARG_LIBS})
  if(TARGET ${name}_schema)
    target_link_libraries(${name}_test PRIVATE ${name}_schema)
  endif()
  if(TARGET flotilla_warnings)
    target_link_libraries(${name}_test PRIVATE flotilla_warnings)
  endif()
  set_target_properties(${name}_test PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
  add_test(NAME unit-${name} COMMAND ${name}_test)
  set_tests_properties(unit-${name} PROPERTIES LABELS unit TIMEOUT 60)
endfunction()

function(flotilla_add_cluster_test name)
  cmake_parse_arguments(ARG "" "" "SOURCES;LIBS" ${ARGN})
  if(NOT TARGET ${name})
    message(FATAL_ERROR "flotilla_add_cluster_test(${name}): no such plugin; flotilla_add_plugin(${name} …) comes first")
  endif()
  add_executable(${name}_cluster_test ${ARG_SOURCES})
  target_compile_features(${name}_cluster_test PRIVATE cxx_std_20)
  target_compile_definitions(${name}_cluster_test PRIVATE FLOTILLA_PLUGIN_FILE="$<TARGET_FILE:${name}>"
    FLOTILLA_PLUGIN_CHECK="$<TARGET_FILE:flotilla-plugin-check>")
  target_link_libraries(${name}_cluster_test PRIVATE Flotilla::testing ${ARG_LIBS})
  if(TARGET ${name}_schema)
    target_link_libraries(${name}_cluster_test PRIVATE ${name}_schema)
  endif()
  if(TARGET flotilla_warnings)
    target_link_libraries(${name}_cluster_test PRIVATE flotilla_warnings)
  endif()
  add_dependencies(${name}_cluster_test ${name} flotilla-plugin-check)
  set_target_properties(${name}_cluster_test PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
  add_test(NAME process-${name} COMMAND ${name}_cluster_test)
  set_tests_properties(process-${name} PROPERTIES LABELS process TIMEOUT 120 RUN_SERIAL ON)
endfunction()

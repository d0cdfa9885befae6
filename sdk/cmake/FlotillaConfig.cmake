# The CMake package `Flotilla`: Flotilla::sdk and flotilla_add_plugin for plugins, Flotilla::testing for their tests,
# Flotilla::client for applications.
#
#   project(orders LANGUAGES C CXX)        # C, for find_package(CapnProto) needs it
#   find_package(Flotilla REQUIRED)
#   flotilla_add_plugin(orders SOURCES orders.cc SCHEMA orders.capnp)
include(CMakeFindDependencyMacro)
find_dependency(CapnProto)
get_filename_component(FLOTILLA_PREFIX "${CMAKE_CURRENT_LIST_DIR}/../../.." ABSOLUTE)

if(NOT TARGET Flotilla::sdk)
  add_library(Flotilla::sdk INTERFACE IMPORTED)
  target_include_directories(Flotilla::sdk INTERFACE ${FLOTILLA_PREFIX}/include)
  target_link_libraries(Flotilla::sdk INTERFACE CapnProto::capnp-rpc CapnProto::capnp)
endif()

if(NOT TARGET Flotilla::client AND EXISTS ${FLOTILLA_PREFIX}/lib/libflotilla_client.a)
  add_library(Flotilla::schemas STATIC IMPORTED)
  set_target_properties(Flotilla::schemas PROPERTIES
    IMPORTED_LOCATION ${FLOTILLA_PREFIX}/lib/libflotilla_schemas.a)
  target_include_directories(Flotilla::schemas INTERFACE ${FLOTILLA_PREFIX}/include)
  target_link_libraries(Flotilla::schemas INTERFACE CapnProto::capnp-rpc CapnProto::capnp)
  add_library(Flotilla::client STATIC IMPORTED)
  set_target_properties(Flotilla::client PROPERTIES
    IMPORTED_LOCATION ${FLOTILLA_PREFIX}/lib/libflotilla_client.a)
  target_link_libraries(Flotilla::client INTERFACE Flotilla::sdk Flotilla::schemas)
endif()

if(NOT TARGET Flotilla::testing AND EXISTS ${FLOTILLA_PREFIX}/lib/libflotilla_testing.so)
  add_library(Flotilla::testing SHARED IMPORTED)
  set_target_properties(Flotilla::testing PROPERTIES
    IMPORTED_LOCATION ${FLOTILLA_PREFIX}/lib/libflotilla_testing.so IMPORTED_NO_SONAME ON)
  target_link_libraries(Flotilla::testing INTERFACE Flotilla::client)
endif()

if(NOT TARGET flotilla-plugin-check)
  add_executable(flotilla-plugin-check IMPORTED)
  set_target_properties(flotilla-plugin-check PROPERTIES
    IMPORTED_LOCATION ${FLOTILLA_PREFIX}/bin/flotilla-plugin-check)
endif()

include(${CMAKE_CURRENT_LIST_DIR}/FlotillaPlugin.cmake)

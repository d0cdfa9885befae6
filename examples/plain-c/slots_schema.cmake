# Writes a schema's CodeGeneratorRequest as numbers between commas: cmake -DCAPNP=… -DSCHEMA=… -DTO=… -P slots_schema.cmake
get_filename_component(folder ${SCHEMA} DIRECTORY)
execute_process(COMMAND ${CAPNP} compile -o- --src-prefix=${folder} ${SCHEMA}
  OUTPUT_FILE ${TO}.bin COMMAND_ERROR_IS_FATAL ANY)
file(READ ${TO}.bin hex HEX)
string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," numbers "${hex}")
file(WRITE ${TO} "${numbers}\n")

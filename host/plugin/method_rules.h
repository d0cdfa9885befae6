// What an interface must be like to be served by replicas.
#pragma once

#include <string>
#include <vector>

#include <capnp/schema.h>

#include "flotilla/abi.h"

namespace flotilla::plugin {

// Empty where every method of the interface and its bases has one row in the table and can be
// carried as bytes; else what is wrong, naming method and field. kj::Exception where the schema
// contradicts itself.
std::string methodsProblem(capnp::InterfaceSchema root, const std::vector<flotilla_method>& rows);

}  // namespace flotilla::plugin

// Group 0's machine, as the host links it in.
#pragma once

#include "flotilla/abi.h"

namespace flotilla::catalog {

// The descriptor of the built-in catalog machine (schemas/catalog.capnp), for host/plugin to make
// machines of, as it does from a plugin's entry symbol.
//
// A host reads its own replica's state with the query Catalog.changes and keeps a CatalogView of
// it; the machine itself knows nothing of the host it runs in.
const flotilla_descriptor* catalogDescriptor();

}  // namespace flotilla::catalog

// A plugin's interface, written out as its author would.
#pragma once

#include <string>

#include "admin/schema_book.h"

namespace flotilla::admin {

// The root interface with what it extends, and every struct and enum that it needs, as Cap'n Proto
// source: to read, and to build clients from. `kinds` go into comments.
std::string schemaText(const SchemaBook& book);

}  // namespace flotilla::admin

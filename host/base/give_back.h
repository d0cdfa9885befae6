// Memory that is given back.
#pragma once

namespace flotilla::base {

// Empties it, and its room is free. `= {}` keeps the room of a vector or a string: it assigns a
// list of nothing.
//
// Owner:  none.
// Thread: the container's owner's.
// Errors: none.
template <typename Container>
void giveBack(Container& container) {
  Container().swap(container);
}

}  // namespace flotilla::base

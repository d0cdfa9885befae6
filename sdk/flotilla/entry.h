// What a handler may know beside its parameters.
#pragma once

#include <compare>
#include <cstdint>

#include "flotilla/abi.h"

namespace flotilla {

// Where in the group's log a command stands.
struct Position {
  uint64_t index = 0;
  uint64_t ordinal = 0;  // within the entry, which packs many commands

  auto operator<=>(const Position&) const = default;
};

// The place in the log from which a command comes. All of it is the same on every replica, which is
// why it is all that a machine may use: no clock, random numbers, threads, files or globals.
//
// Thread: the handler's. Dies with the call.
// Errors: none.
class Entry {
public:
  explicit Entry(const flotilla_command& command) : command_(command) {}

  uint64_t index() const { return command_.index; }
  uint64_t ordinal() const { return command_.ordinal; }
  Position position() const { return {command_.index, command_.ordinal}; }
  uint64_t term() const { return command_.term; }
  int64_t timeUs() const { return command_.timeUs; }     // log time, microseconds since 1970
  uint64_t seed() const { return command_.seed; }        // for a generator of the machine's own
  uint64_t session() const { return command_.session; }  // the caller's; 0: none

private:
  const flotilla_command& command_;
};

// The state that a query looks at.
//
// Thread: the handler's. Dies with the call.
// Errors: none.
class View {
public:
  explicit View(const flotilla_command& question) : question_(question) {}

  uint64_t index() const { return question_.index; }   // all up to here has been applied
  int64_t timeUs() const { return question_.timeUs; }  // log time at that entry

private:
  const flotilla_command& question_;
};

}  // namespace flotilla

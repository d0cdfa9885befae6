// What a handler may know beside its parameters.
#pragma once

#include <compare>
#include <concepts>
#include <cstdint>
#include <string_view>

#include "flotilla/abi.h"
#include "flotilla/error.h"
#include "flotilla/timers.h"

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
// Errors: wakeAt throws Error `tooManyTimers`, emit throws Error `badEvent`.
class Entry {
public:
  Entry(const flotilla_command& command, const flotilla_answers& answers, uint64_t place)
      : command_(command), answers_(answers), place_(place) {}

  uint64_t index() const { return command_.index; }
  uint64_t ordinal() const { return command_.ordinal; }
  Position position() const { return {command_.index, command_.ordinal}; }
  uint64_t term() const { return command_.term; }
  int64_t timeUs() const { return command_.timeUs; }     // log time, microseconds since 1970
  uint64_t seed() const { return command_.seed; }        // for a generator of the machine's own
  uint64_t session() const { return command_.session; }  // the caller's; 0: none

  // Once log time has reached `timeUs`, the machine's `void wake(const flotilla::Entry&, uint64_t
  // token)` is called, as a command of its own: once on every replica, and never earlier by log
  // time. A command that ends with an Error sets no timer. There is no taking back: wake looks at
  // the state for whether what it was set for still holds.
  template <std::convertible_to<uint64_t> Token = uint64_t>
  void wakeAt(int64_t timeUs, Token token = 0) const {
    noteTimers<Token>();
    int refused = answers_.wakeAt(answers_.context, place_, timeUs, static_cast<uint64_t>(token));
    if (refused != 0) throw Error("tooManyTimers", "too many timers of this group are pending");
  }

  // Tells those who listen to this group, once the command is done: exactly what it did, in the
  // log's order. A command that ends with an Error tells nothing. Topics are text, "orders/17";
  // listeners ask for those that begin in some way. The group keeps the newest events for those
  // who come later, and no more: who must not miss any keeps them in a Table.
  void emit(std::string_view topic, std::string_view message) const {
    int refused = answers_.emit(answers_.context, place_, {topic.data(), topic.size()},
                                {message.data(), message.size()});
    if (refused == 0) return;
    throw Error(
        "badEvent",
        "a topic is text of at most 255 bytes, a message has at most 65536, and one command "
        "tells at most 256 events of 1 MiB together");
  }

private:
  const flotilla_command& command_;
  const flotilla_answers& answers_;
  const uint64_t place_;
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

// What a machine has told those who listen: the newest events, kept for who comes later.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "flotilla/abi.h"
#include "flotilla/bytes.h"
#include "flotilla/result.h"
#include "host/base/fifo.h"
#include "host/group/ports.h"
#include "schemas/log.capnp.h"

namespace flotilla::group {

// How much of its history a group keeps. Part of what its log means: replicas that disagreed on it
// would come to differ, so it is fixed when the group is created.
struct EventBounds {
  uint64_t countMax = 1 << 14;
  uint64_t bytesMax = 8 << 20;  // topics, messages and FLOTILLA_EVENT_COST each
};
constexpr EventBounds kEventBoundsMax{1 << 18, 64 << 20};

// The index of a position that asks for nothing that is kept.
constexpr raft::Index kEventsFromNow = UINT64_MAX;

// One event, named by its command's position and its place among that one's events.
struct Event {
  Position position;
  Bytes topic;
  Bytes message;

  uint64_t cost() const { return FLOTILLA_EVENT_COST + topic.size() + message.size(); }
};

// A look at the history.
struct EventsRead {
  std::vector<Event> events;  // of whole commands, in order
  Position upTo;              // to be asked for next: all up to here has been looked at
  bool more = false;          // there is more behind it
  bool compacted = false;     // between what was asked for and the first kept, some are gone
};

// The newest events in order, bounded in count and bytes: what comes in pushes the oldest out,
// whole commands at a time, so that what is kept after a position is all or known not to be.
//
// Owner:  GroupState.
// Thread: the applier's; Events that were read may go anywhere.
// Errors: a saved state that makes no sense is a Fault `corrupt`.
class Events {
public:
  // What is kept beyond them is forgotten at once.
  void bound(EventBounds bounds);
  // Of one command that went well, in its order; positions rise.
  void add(Position position, std::vector<Event>& events);
  // Those after `after` whose topic begins with `prefix`, until they cost `bytesMax`; at least one
  // command's, if there is one.
  EventsRead read(Position after, std::string_view prefix, uint64_t bytesMax) const;

  size_t size() const { return kept_.size(); }
  uint64_t bytes() const { return bytes_; }
  Position last() const { return last_; }            // of all that there were; index 0: none
  Position forgotten() const { return forgotten_; }  // the last that is gone; index 0: none

  void save(schema::GroupState::Builder to) const;
  Result<void> load(schema::GroupState::Reader from);

private:
  void forgetOldest();
  void trim();

  EventBounds bounds_;
  base::Fifo<Event> kept_;
  uint64_t bytes_ = 0;
  Position last_;
  Position forgotten_;
};

}  // namespace flotilla::group

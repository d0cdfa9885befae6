// Looks at a machine's events on their way to the apply workers and back.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include <kj/async.h>

#include "host/group/events.h"

namespace flotilla::runtime {

class MachineLane;

// One look at a replica's history, to be carried out after what was asked for before it.
struct EventsLook {
  uint64_t id = 0;
  group::Position after;
  std::string topicPrefix;
};
struct EventsSeen {
  uint64_t id = 0;
  Result<group::EventsRead> read;
};

// Those who wait for events of one replica: for a look's answer, or for there to be more to look
// at.
//
// Owner:  Replica.
// Thread: the loop's.
// Errors: promises are rejected with exceptions of kind FAILED whose text is a fault's, when the
//         machine has stopped, and when the replica goes.
class EventReads {
public:
  static constexpr uint64_t kReadBytesMax = 64 << 10;

  kj::Promise<group::EventsRead> look(MachineLane& lane, group::Position after,
                                      std::string topicPrefix);
  // Ends once something has been emitted after `after`.
  kj::Promise<void> past(group::Position after);

  bool any();

  void seen(EventsSeen seen);
  void stands(
      group::Position last);  // the newest event there is; an older state may have come back
  void stopped(const Fault& fault);

private:
  struct Waiting {
    group::Position after;
    kj::Own<kj::PromiseFulfiller<void>> fulfiller;
  };
  using Fulfiller = kj::Own<kj::PromiseFulfiller<group::EventsRead>>;

  group::Position last_;
  uint64_t lastLook_ = 0;
  std::map<uint64_t, Fulfiller> looks_;
  std::vector<Waiting> waiting_;
};

}  // namespace flotilla::runtime

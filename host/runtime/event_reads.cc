// Looks at a machine's events on their way to the apply workers and back.
#include "host/runtime/event_reads.h"

#include <algorithm>
#include <utility>

#include "host/runtime/machine_lane.h"

namespace flotilla::runtime {
namespace {

kj::Exception saying(const Fault& fault) {
  return {kj::Exception::Type::FAILED, __FILE__, __LINE__, kj::heapString(fault.text)};
}

}  // namespace

kj::Promise<group::EventsRead> EventReads::look(MachineLane& lane, group::Position after,
                                                std::string topicPrefix) {
  auto pair = kj::newPromiseAndFulfiller<group::EventsRead>();
  uint64_t id = ++lastLook_;
  looks_.emplace(id, kj::mv(pair.fulfiller));
  lane.look({id, after, std::move(topicPrefix)});
  return kj::mv(pair.promise);
}

kj::Promise<void> EventReads::past(group::Position after) {
  if (last_ > after) return kj::READY_NOW;
  std::erase_if(waiting_, [](Waiting& it) { return !it.fulfiller->isWaiting(); });
  auto pair = kj::newPromiseAndFulfiller<void>();
  waiting_.push_back({after, kj::mv(pair.fulfiller)});
  return kj::mv(pair.promise);
}

// Who has gone is among those that wait until there is more to look at.
bool EventReads::any() {
  return !looks_.empty() || std::any_of(waiting_.begin(), waiting_.end(),
                                        [](Waiting& it) { return it.fulfiller->isWaiting(); });
}

void EventReads::seen(EventsSeen seen) {
  auto look = looks_.find(seen.id);
  if (look == looks_.end()) return;
  Fulfiller fulfiller = kj::mv(look->second);
  looks_.erase(look);
  if (seen.read) {
    fulfiller->fulfill(std::move(*seen.read));
  } else {
    fulfiller->reject(saying(seen.read.fault()));
  }
}

void EventReads::stands(group::Position last) {
  last_ = last;
  std::erase_if(waiting_, [&](Waiting& it) {
    if (it.after >= last) return false;
    it.fulfiller->fulfill();
    return true;
  });
}

void EventReads::stopped(const Fault& fault) {
  for (auto& [id, fulfiller] : std::exchange(looks_, {})) {
    fulfiller->reject(saying(fault));
  }
  for (Waiting& it : std::exchange(waiting_, {})) {
    it.fulfiller->reject(saying(fault));
  }
}

}  // namespace flotilla::runtime

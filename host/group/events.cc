// What a machine has told those who listen.
#include "host/group/events.h"

#include <algorithm>

#include "host/base/assert.h"

namespace flotilla::group {
namespace {

std::string_view viewOf(capnp::Data::Reader bytes) {
  return {reinterpret_cast<const char*>(bytes.begin()), bytes.size()};
}

capnp::Data::Reader dataOf(const Bytes& bytes) {
  return {reinterpret_cast<const kj::byte*>(bytes.data()), bytes.size()};
}

void write(schema::Position::Builder to, Position from) {
  to.setIndex(from.index);
  to.setOrdinal(from.ordinal);
}

Position read(schema::Position::Reader from) {
  return {from.getIndex(), from.getOrdinal()};
}

}  // namespace

void Events::add(Position position, std::vector<Event>& events) {
  ASSERT(position > last_);
  if (events.empty()) return;
  last_ = position;
  for (Event& event : events) {
    event.position = position;
    bytes_ += event.cost();
    kept_.push_back(std::move(event));
  }
  events.clear();
  trim();
}

void Events::bound(EventBounds bounds) {
  bounds_ = bounds;
  trim();
}

void Events::trim() {
  while (kept_.size() > bounds_.countMax || bytes_ > bounds_.bytesMax) forgetOldest();
}

void Events::forgetOldest() {
  forgotten_ = kept_.front().position;
  while (!kept_.empty() && kept_.front().position == forgotten_) {
    bytes_ -= kept_.front().cost();
    kept_.pop_front();
  }
}

EventsRead Events::read(Position after, std::string_view prefix, uint64_t bytesMax) const {
  EventsRead read;
  if (after.index == kEventsFromNow) {
    read.upTo = last_;
    return read;
  }
  read.compacted = after < forgotten_;
  read.upTo = std::max(after, forgotten_);
  const Event* at =
      std::upper_bound(kept_.begin(), kept_.end(), after,
                       [](Position wanted, const Event& it) { return wanted < it.position; });
  uint64_t bytes = 0;
  for (; at != kept_.end(); ++at) {
    if (bytes >= bytesMax && at->position != read.upTo) break;
    read.upTo = at->position;
    if (!at->topic.view().starts_with(prefix)) continue;
    bytes += at->cost();
    read.events.push_back(*at);
  }
  read.more = at != kept_.end();
  return read;
}

void Events::save(schema::GroupState::Builder to) const {
  if (last_.index == 0) return;
  write(to.initLastEvent(), last_);
  write(to.initEventsForgotten(), forgotten_);
  auto events = to.initEvents(static_cast<uint32_t>(kept_.size()));
  uint32_t place = 0;
  for (const Event& event : kept_) {
    auto saved = events[place++];
    saved.setIndex(event.position.index);
    saved.setOrdinal(event.position.ordinal);
    saved.setTopic(dataOf(event.topic));
    saved.setMessage(dataOf(event.message));
  }
}

Result<void> Events::load(schema::GroupState::Reader from) {
  *this = Events{};
  bounds_ = kEventBoundsMax;
  if (from.hasLastEvent()) last_ = group::read(from.getLastEvent());
  if (from.hasEventsForgotten()) forgotten_ = group::read(from.getEventsForgotten());
  Position before = forgotten_;
  bool sound = true;
  for (auto saved : from.getEvents()) {
    Event event{{saved.getIndex(), saved.getOrdinal()},
                Bytes::copyOf(viewOf(saved.getTopic())),
                Bytes::copyOf(viewOf(saved.getMessage()))};
    sound = sound && event.position >= before && event.position > forgotten_;
    before = event.position;
    bytes_ += event.cost();
    kept_.push_back(std::move(event));
  }
  sound =
      sound && before <= last_ && kept_.size() <= bounds_.countMax && bytes_ <= bounds_.bytesMax;
  if (sound) return {};
  return Fault{ErrorCode::corrupt, "group state: its events are too many, or out of order", {}};
}

}  // namespace flotilla::group

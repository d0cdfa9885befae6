// Those who listen to simulated groups' events.
#include "tests/sim/event_listeners.h"

#include <algorithm>
#include <iterator>

#include "host/raft/membership.h"

namespace flotilla::sim {
namespace {

constexpr uint64_t kReadBytesMax = 500;
constexpr int64_t kEveryUs = 150'000;

std::string nameOf(const group::Event& event) {
  return std::string(event.topic.view()) + " at " + std::to_string(event.position.index) + "." +
         std::to_string(event.position.ordinal);
}

}  // namespace

EventListeners::EventListeners(World& world) : world_(world), dice_(world.options.seed ^ kDice) {
  if (world_.options.everyAlarm == 0) return;
  for (const GroupPlace& place : world_.groups) {
    listeners_.push_back({place.id, "alarms/", {}});
    listeners_.push_back({place.id, "alarms/rung", {}});
  }
}

void EventListeners::begin() {
  for (size_t i = 0; i < listeners_.size(); ++i) againLater(i);
}

void EventListeners::againLater(size_t place) {
  world_.events.in(1 + static_cast<int64_t>(dice_.below(2 * kEveryUs)), [this, place]() {
    Listener& listener = listeners_[place];
    const auto& replicas = world_.place(listener.group).hosts;
    auto any = replicas.begin();
    std::advance(any, static_cast<int64_t>(dice_.below(replicas.size())));
    SimHost& host = world_.host(any->second);
    group::ReplicaKey key{listener.group, any->first};
    SimLane* lane = host.up() ? host.lane(key) : nullptr;
    if (lane != nullptr && !hear(listener, *lane)) return;
    // Some stay, and want to hear of what comes at once.
    if (lane != nullptr) host.find(key)->listens(dice_.chance(500));
    againLater(place);
  });
}

// What the history of a replica that has come as far as `last` may have forgotten: all but the
// newest. Each command tells one event.
group::Position EventListeners::forgottenAt(uint64_t group, group::Position last) const {
  const auto& told = world_.judge.facts(group).events;
  auto end = told.upper_bound(last);
  auto known = static_cast<uint64_t>(std::distance(told.begin(), end));
  if (known <= world_.options.keepEvents) return {};
  std::advance(end, -static_cast<int64_t>(world_.options.keepEvents) - 1);
  return end->first;
}

bool EventListeners::hear(Listener& listener, SimLane& lane) {
  const auto& told = world_.judge.facts(listener.group).events;
  const group::Events& history = lane.applier().state().events;
  group::EventsRead read = history.read(listener.after, listener.prefix, kReadBytesMax);
  std::string who = "g" + std::to_string(listener.group) + " listener of " + listener.prefix;
  group::Position forgotten = forgottenAt(listener.group, history.last());
  bool missed = listener.after < forgotten;
  if (read.compacted != missed || read.upTo < listener.after) {
    world_.judge.fail(
        who, missed ? "is not told that something is gone" : "is told that something is gone");
    return false;
  }
  if (missed) ++world_.report[Count::eventsMissed];
  auto next = told.upper_bound(std::max(listener.after, forgotten));
  auto skipOthers = [&]() {
    while (next != told.end() && !next->second.topic.starts_with(listener.prefix)) ++next;
  };
  for (const group::Event& event : read.events) {
    skipOthers();
    bool expected = next != told.end() && next->first == event.position &&
                    next->second.topic == event.topic.view() &&
                    next->second.message == event.message.view();
    if (!expected) {
      world_.judge.fail(who, "hears " + nameOf(event) + ", which does not come next");
      return false;
    }
    ++next;
    ++world_.report[Count::eventsHeard];
  }
  skipOthers();
  if (next != told.end() && next->first <= read.upTo) {
    world_.judge.fail(who, "misses what was told at " + std::to_string(next->first.index));
    return false;
  }
  listener.after = read.upTo;
  return true;
}

void EventListeners::judge() {
  if (listeners_.empty()) return;
  for (const GroupPlace& place : world_.groups) {
    const GroupFacts& facts = world_.judge.facts(place.id);
    if (facts.poisonedAt) continue;
    group::Group* leader = world_.leaderOf(place.id);
    for (raft::ReplicaId member : raft::membersOf(leader->core().configuration())) {
      group::ReplicaKey key{place.id, member};
      SimLane& lane = *world_.host(world_.hostOf(key)).lane(key);
      Listener listener{place.id, "", {}};
      group::Position last = lane.applier().state().events.last();
      while (listener.after < last) {
        if (!hear(listener, lane)) return;
      }
      bool all = facts.events.empty() || facts.events.rbegin()->first == last;
      if (!all) return world_.judge.fail(sim::nameOf(key), "does not have the last events");
    }
  }
}

}  // namespace flotilla::sim

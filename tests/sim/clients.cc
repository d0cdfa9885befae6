// Clients of simulated groups.
#include "tests/sim/clients.h"

#include <algorithm>
#include <utility>

#include "tests/sim/sim_machine.h"

namespace flotilla::sim {

Clients::Clients(World& world) : world_(world) {
  for (GroupPlace& place : world_.groups) {
    keys_[place.id].resize(kKeys);
    for (uint32_t i = 0; i < world_.options.clients; ++i) {
      Client& client = clients_.emplace_back();
      client.group = place.id;
      client.lanes.resize(world_.options.lanes);
    }
  }
}

void Clients::begin() {
  for (size_t client = 0; client < clients_.size(); ++client) {
    for (size_t lane = 0; lane < clients_[client].lanes.size(); ++lane) nextLater({client, lane});
  }
  if (world_.options.poison) {
    world_.events.in(world_.options.stormUs / 2, [this]() { poison(); });
  }
}

// In the calm a slow group is not drowned in repeats of what it is at work on.
int64_t Clients::patienceUs() const {
  return world_.options.answerUsMax * (world_.isCalm() ? 20 : 1);
}

bool Clients::isPoisoned(uint64_t group) const {
  return world_.judge.facts(group).poisonedAt.has_value();
}

bool Clients::areDone() const {
  return whoWaits().empty();
}

std::string Clients::whoWaits() const {
  for (const Client& client : clients_) {
    if (isPoisoned(client.group)) continue;
    for (const Lane& lane : client.lanes) {
      if (lane.doneInCalm) continue;
      std::string what = "g" + std::to_string(client.group) + ": ";
      if (!lane.ask) return what + "a client waits for its session";
      return what + "command or query " + std::to_string(lane.ask->value) + " of key " +
             lane.ask->key + " is not answered, attempt " + std::to_string(lane.ask->attempt);
    }
  }
  return "";
}

// ---- what is asked -----------------------------------------------------------------------------

void Clients::nextLater(Place place) {
  int64_t us =
      1 + static_cast<int64_t>(world_.dice.below(static_cast<uint64_t>(world_.options.thinkUsMax)));
  world_.events.in(us, [this, place]() { next(place); });
}

void Clients::next(Place place) {
  Client& client = clients_[place.client];
  Lane& lane = client.lanes[place.lane];
  if (lane.doneInCalm || isPoisoned(client.group)) return;
  if (client.session == 0) {
    lane.waitsForSession = true;
    return openSession(place.client);
  }
  lane.ask = drawAsk(client);
  attempt(place);
}

size_t Clients::drawKey(uint64_t group) {
  size_t slot = world_.dice.below(kKeys);
  Key& key = keys_[group][slot];
  bool full = key.operations >= kOperationsOfKeyMax || key.unknowns >= kUnknownOfKeyMax;
  if (key.name.empty() || full) {
    key = {};
    key.name = "k" + std::to_string(++lastKey_);
  }
  ++key.operations;
  return slot;
}

Clients::Ask Clients::drawAsk(Client& client) {
  base::Prng& dice = world_.dice;
  const Options& its = world_.options;
  Ask ask;
  ask.slot = drawKey(client.group);
  Key& key = keys_[client.group][ask.slot];
  ask.key = key.name;
  ask.value = ++lastValue_;
  ask.begun = ++moment_;
  ask.inCalm = world_.isCalm();
  if (dice.chance(its.reads)) {
    ask.method = KvMethod::get;
    bool lease = dice.chance(its.leases);
    bool stale = dice.chance(its.staleReads);
    ask.freshness.kind = stale   ? group::Freshness::Kind::stale
                         : lease ? group::Freshness::Kind::lease
                                 : group::Freshness::Kind::linearizable;
    if (stale && dice.chance(500)) ask.freshness.maxAgeUs = 500'000;
    return ask;
  }
  if (dice.chance(400)) {
    ask.method = KvMethod::compareAndSet;
    ask.expected = key.seen;
  }
  ask.stamped = dice.chance(its.stamped);
  if (ask.stamped) {
    ask.sequence = client.nextSequence++;
    client.outstanding.insert(ask.sequence);
  }
  return ask;
}

}  // namespace flotilla::sim

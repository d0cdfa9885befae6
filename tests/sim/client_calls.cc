// A simulated client's calls on their way, and what is made of their answers.
#include <algorithm>
#include <utility>

#include "host/base/assert.h"
#include "tests/sim/clients.h"
#include "tests/sim/sim_machine.h"

namespace flotilla::sim {
namespace {

constexpr uint16_t kNoMethod = 999;

}  // namespace

// ---- on the way there --------------------------------------------------------------------------

// Whom the last answer named, mostly; else any host that has a replica.
SimHost& Clients::chooseHost(Client& client) {
  const GroupPlace& place = world_.place(client.group);
  auto preferred = place.hosts.find(client.prefers);
  if (preferred != place.hosts.end() && world_.dice.chance(900)) {
    return world_.host(preferred->second);
  }
  auto any = place.hosts.begin();
  std::advance(any, static_cast<int64_t>(world_.dice.below(place.hosts.size())));
  client.prefers = any->first;
  return world_.host(any->second);
}

void Clients::openSession(size_t number) {
  Client& client = clients_[number];
  if (client.opening != 0 || client.session != 0) return;
  uint64_t attempt = client.opening = ++lastAttempt_;
  SimHost& host = chooseHost(client);
  world_.events.in(patienceUs(), [this, number, attempt]() { sessionEnded(number, attempt, 0); });
  if (!world_.isCalm() && world_.dice.chance(world_.options.loss)) return;
  world_.events.in(world_.network.delayUs(), [this, number, attempt, &host]() {
    if (!host.up()) return;
    host.post(0, [this, number, attempt, &host]() {
      host.onGroup(clients_[number].group, [&](group::Group& group) {
        group.openSession(host.expect([this, number, attempt](const group::Outcome& outcome) {
          uint64_t session = outcome.ok() ? outcome.position.index : 0;
          if (outcome.leaderHint != 0) clients_[number].prefers = outcome.leaderHint;
          reply([this, number, attempt, session]() { sessionEnded(number, attempt, session); });
        }));
      });
    });
  });
}

void Clients::sessionEnded(size_t number, uint64_t attempt, uint64_t session) {
  Client& client = clients_[number];
  if (client.opening != attempt) return;
  client.opening = 0;
  if (session == 0) {
    if (isPoisoned(client.group)) return;
    if (world_.dice.chance(300)) client.prefers = 0;
    world_.events.in(20'000, [this, number]() { openSession(number); });
    return;
  }
  client.session = session;
  ++world_.report[Count::sessions];
  for (size_t lane = 0; lane < client.lanes.size(); ++lane) {
    if (std::exchange(client.lanes[lane].waitsForSession, false)) nextLater({number, lane});
  }
}

void Clients::attempt(Place place) {
  Client& client = clients_[place.client];
  Ask& ask = *client.lanes[place.lane].ask;
  ask.attempt = ++lastAttempt_;
  // A query changes nothing, so each attempt is a query of its own.
  if (ask.method == KvMethod::get) ask.begun = ++moment_;
  group::Stamp stamp;
  if (ask.stamped) stamp = {client.session, ask.sequence, *client.outstanding.begin()};
  world_.events.in(patienceUs(), [this, place, ask]() { timeOut(place, ask); });
  SimHost& host = chooseHost(client);
  if (world_.dice.chance(2)) stray(client, host);
  if (!world_.isCalm() && world_.dice.chance(world_.options.loss)) return;
  world_.events.in(world_.network.delayUs(),
                   [this, place, &host, ask, stamp]() { arrive(place, host, ask, stamp); });
}

// Commands that no plugin of the group has: they are answered, alike, and stop nobody.
void Clients::stray(Client& client, SimHost& host) {
  constexpr uint64_t kStraysMax = 6;
  if (!host.up()) return;
  group::Stamp stamp{client.session, client.nextSequence, 0};
  uint64_t count = 1 + world_.dice.below(kStraysMax);
  client.nextSequence += count;
  host.post(0, [to = client.group, stamp, count, &host]() {
    host.onGroup(to, [&](group::Group& group) {
      for (uint64_t i = 0; i < count; ++i) {
        group::Call call = putCall("stray", 1, 8);
        call.method = kNoMethod;
        if (stamp.session != 0) call.stamp = {stamp.session, stamp.sequence + i, 0};
        group.propose(host.expect([](const group::Outcome& outcome) { ASSERT(!outcome.ok()); }),
                      std::move(call));
      }
    });
  });
}

void Clients::arrive(Place place, SimHost& host, const Ask& ask, group::Stamp stamp) {
  uint64_t group = clients_[place.client].group;
  if (!host.up()) {
    group::Outcome refused;
    refused.code = ErrorCode::unavailable;  // nothing listens there
    return reply([this, place, ask, refused]() { answered(place, ask, refused); });
  }
  host.post(0, [this, place, &host, ask, stamp, group]() {
    uint32_t bytesMax = world_.options.valueBytesMax;
    auto answer = [this, place, ask, group](const group::Outcome& outcome) {
      check(place, ask, outcome);
      reply([this, place, ask, outcome]() { answered(place, ask, outcome); });
    };
    bool here = false;
    world_.trace.note(world_.nowUs(), {10, ask.value, stamp.session, stamp.sequence}, [&]() {
      return "g" + std::to_string(group) + " call " + std::to_string(ask.value) + " reaches h" +
             std::to_string(host.id()) + ", stamp " + std::to_string(stamp.session) + "/" +
             std::to_string(stamp.sequence) + "/" + std::to_string(stamp.acknowledgedBelow);
    });
    host.onGroup(group, [&](group::Group& its) {
      here = true;
      group::CallId call = host.expect(answer);
      if (ask.method == KvMethod::get) return its.query(call, getCall(ask.key), ask.freshness);
      group::Call command = ask.method == KvMethod::put
                                ? putCall(ask.key, ask.value, bytesMax)
                                : compareAndSetCall(ask.key, ask.expected, ask.value, bytesMax);
      command.stamp = stamp;
      its.propose(call, std::move(command));
    });
    if (here) return;
    group::Outcome refused;
    refused.code = ErrorCode::noSuchGroup;
    reply([this, place, ask, refused]() { answered(place, ask, refused); });
  });
}

// As the host says it, whether or not the answer arrives.
void Clients::check(Place place, const Ask& ask, const group::Outcome& outcome) {
  uint64_t group = clients_[place.client].group;
  std::string who = "g" + std::to_string(group) + " call " + std::to_string(ask.value);
  world_.trace.note(world_.nowUs(),
                    {9, ask.value, static_cast<uint64_t>(outcome.code), outcome.position.index,
                     outcome.position.ordinal},
                    [&]() {
                      return who + " of key " + ask.key + ": " + std::string(nameOf(outcome.code)) +
                             " at " + std::to_string(outcome.position.index) + "." +
                             std::to_string(outcome.position.ordinal);
                    });
  // A late attempt at what another attempt has brought to its end is told that it is too late.
  bool late = ask.stamped && !clients_[place.client].outstanding.contains(ask.sequence);
  bool senseless = outcome.code == ErrorCode::badRequest && !late;
  if (senseless || outcome.code == ErrorCode::sessionExpired || outcome.code == ErrorCode::app ||
      outcome.code == ErrorCode::noSuchMethod) {
    return world_.judge.fail(who, "is refused with " + std::string(nameOf(outcome.code)) + ": " +
                                      std::string(outcome.body.view()));
  }
  if (!outcome.ok()) {
    bool refusedForGood = !maybeDone(outcome.code) && !ask.stamped && ask.method != KvMethod::get;
    if (!refusedForGood) return;
    world_.judge.refused(group, ask.value, outcome.code);
    refused_.emplace_back(group, ask.value);
    return;
  }
  auto answer = readAnswer(ask.method, outcome.body.view());
  if (!answer) return world_.judge.fail(who, "has an answer that cannot be read");
  if (ask.method == KvMethod::get) {
    return world_.judge.sawValue(group, ask.key, answer->value, outcome.position.index);
  }
  world_.judge.acknowledged(group, ask.value, outcome);
  if (answer->set && answer->revision != outcome.position.index) {
    world_.judge.fail(who, "has another command's answer");
  }
}

// ---- on the way back ---------------------------------------------------------------------------

void Clients::reply(Events::Act act) {
  if (!world_.isCalm() && world_.dice.chance(world_.options.loss)) return;
  world_.events.in(world_.network.delayUs(), std::move(act));
}

bool Clients::isCurrent(Place place, const Ask& ask) const {
  const Lane& lane = clients_[place.client].lanes[place.lane];
  if (!lane.ask || lane.ask->value != ask.value) return false;
  // A late answer to an earlier attempt is an answer, where all attempts are one command.
  return ask.stamped || lane.ask->attempt == ask.attempt;
}

void Clients::answered(Place place, const Ask& ask, const group::Outcome& outcome) {
  if (!isCurrent(place, ask)) return;
  Client& client = clients_[place.client];
  if (outcome.ok()) return finish(place, readAnswer(ask.method, outcome.body.view()), true);
  if (ask.attempt != client.lanes[place.lane].ask->attempt) return;
  client.prefers = outcome.leaderHint;
  if (ask.stamped || ask.method == KvMethod::get) return retry(place);
  finish(place, std::nullopt, !maybeDone(outcome.code));
}

void Clients::timeOut(Place place, const Ask& ask) {
  if (!isCurrent(place, ask)) return;
  if (clients_[place.client].lanes[place.lane].ask->attempt != ask.attempt) return;
  clients_[place.client].prefers = 0;
  if (ask.stamped || ask.method == KvMethod::get) return retry(place);
  finish(place, std::nullopt, false);
}

void Clients::retry(Place place) {
  Client& client = clients_[place.client];
  Ask& ask = *client.lanes[place.lane].ask;
  if (isPoisoned(client.group)) return finish(place, std::nullopt, false);
  if (ask.stamped) ++world_.report[Count::retries];
  uint64_t attempt = ask.attempt = ++lastAttempt_;
  int64_t us = 1000 + static_cast<int64_t>(world_.dice.below(20'000));
  world_.events.in(us, [this, place, attempt]() {
    const Lane& lane = clients_[place.client].lanes[place.lane];
    if (lane.ask && lane.ask->attempt == attempt) this->attempt(place);
  });
}

// `known`: what became of it; without an answer, nothing did.
void Clients::finish(Place place, const std::optional<KvAnswer>& answer, bool known) {
  Client& client = clients_[place.client];
  Lane& lane = client.lanes[place.lane];
  Ask ask = *std::exchange(lane.ask, std::nullopt);
  Key& key = keys_[client.group][ask.slot];
  bool reads = ask.method == KvMethod::get;
  bool stale = reads && ask.freshness.kind == group::Freshness::Kind::stale;
  if (answer) ++world_.report[reads ? Count::queries : Count::commands];
  if (ask.stamped) client.outstanding.erase(ask.sequence);
  if (!known && !reads) {
    ++world_.report[Count::unknowns];
    if (key.name == ask.key) ++key.unknowns;
  }
  if (!stale && (answer || (!known && !reads))) {
    Operation done{ask.method, ask.begun, kNever, ask.value, ask.expected};
    if (answer) {
      done.ended = ++moment_;
      done.set = answer->set;
      done.current = answer->value;
      if (reads) done.value = answer->value;
      if (key.name == ask.key) key.seen = reads || !answer->set ? answer->value : ask.value;
    }
    histories_[{client.group, ask.key}].push_back(done);
  }
  if (answer && ask.inCalm) lane.doneInCalm = true;
  nextLater(place);
}

// One command that stops the first group's machine everywhere.
void Clients::poison() {
  GroupPlace& place = world_.place(1);
  SimHost* leader = world_.hostOfLeader(place.id);
  if (leader == nullptr || leader->paused()) {
    if (!world_.isCalm()) world_.events.in(50'000, [this]() { poison(); });
    return;
  }
  ValueId value = ++lastValue_;
  leader->onGroup(place.id, [&](group::Group& group) {
    group.propose(leader->expect([](const group::Outcome&) {}), putCall(kPoisonKey, value, 8));
  });
}

// ---- the end -----------------------------------------------------------------------------------

void Clients::judge() {
  for (const auto& [group, value] : refused_) {
    world_.judge.refused(group, value, ErrorCode::notLeader);
  }
  for (const auto& [where, operations] : histories_) {
    std::string who = "g" + std::to_string(where.first) + " key " + where.second;
    if (operations.size() > kOperationsMax) {
      return world_.judge.fail(who, "has too many operations for the judge");
    }
    Verdict verdict = judgeHistory(operations);
    if (verdict == Verdict::linearizable) {
      world_.report[Count::judged] += operations.size();
      continue;
    }
    return world_.judge.fail(
        who, std::string(verdict == Verdict::undecided ? "its history could not be judged:\n"
                                                       : "its history fits no one order:\n") +
                 describe(operations));
  }
}

}  // namespace flotilla::sim

// Finds who answers for a group: the replica here, or another host, once.
#include "host/runtime/router.h"

#include "host/net/refusal.h"
#include "host/runtime/host.h"
#include "host/runtime/host_parts.h"
#include "schemas/client.capnp.h"

namespace flotilla::runtime {
namespace {

constexpr std::size_t kHintsMax = 100'000;

group::Outcome failed(ErrorCode code, const std::string& text) {
  group::Outcome outcome;
  outcome.code = code;
  outcome.body = Bytes::copyOf(text);
  return outcome;
}

Outcomes allFailed(std::size_t count, const group::Outcome& outcome) {
  return Outcomes(count, outcome);
}

group::Outcome fromWire(schema::Outcome::Reader from) {
  group::Outcome to;
  to.position = {from.getPosition().getIndex(), from.getPosition().getOrdinal()};
  if (from.isAnswer()) {
    auto data = from.getAnswer();
    to.body = Bytes::copyOf({reinterpret_cast<const char*>(data.begin()), data.size()});
    return to;
  }
  auto fault = from.getFault();
  to.code = static_cast<ErrorCode>(fault.getCode());
  if (fault.getAppCode().size() != 0) to.appCode = std::string(fault.getAppCode().cStr());
  to.body = Bytes::copyOf({fault.getText().cStr(), fault.getText().size()});
  to.leaderHint = fault.getLeader().getId();
  return to;
}

Outcomes fromWire(capnp::List<schema::Outcome>::Reader from, std::size_t asked,
                  AnswerBudget& budget) {
  Outcomes to;
  to.reserve(asked);
  for (auto each : from) {
    to.push_back(fromWire(each));
    budget.fit(to.back());
  }
  // A peer that answers too few has not said what became of the rest.
  while (to.size() < asked)
    to.push_back(failed(ErrorCode::unknown, "router: a host answered too few"));
  return to;
}

capnp::Data::Reader dataOf(const Bytes& bytes) {
  return {reinterpret_cast<const kj::byte*>(bytes.data()), bytes.size()};
}

// Whether an outcome says nothing but that this replica does not lead.
bool elsewhere(const group::Outcome& outcome) {
  return outcome.code == ErrorCode::notLeader || outcome.code == ErrorCode::unavailable;
}

uint64_t wordsOf(const std::vector<group::Call>& calls) {
  uint64_t words = 64;
  for (const group::Call& call : calls) words += call.params.size() / 8 + 16;
  return words;
}

}  // namespace

group::Outcome Router::refusal(GroupRef group) const {
  const catalog::CatalogView& view = host_.catalog();
  auto record = view.group(group.id);
  std::string name = record ? record->spec.name : "id:" + std::to_string(group.id);
  // A group that is newer than what has been heard here is not gone, but not known yet.
  if (group.id != 0 && group.id <= view.lastGroup()) {
    bool gone = !record || record->incarnation != group.incarnation ||
                record->phase == catalog::GroupPhase::removing;
    if (gone) return failed(ErrorCode::groupRemoved, "group " + name + ": it has been removed");
  }
  group::Outcome outcome =
      failed(ErrorCode::notLeader, "group " + name + ": no leader is known here; try again");
  outcome.leaderHint = leaderHost(group.id);
  return outcome;
}

uint64_t Router::leaderHost(uint64_t group) const {
  if (const Replica* replica = host_.parts_->replicas.find(group)) {
    if (!replica->broken()) {
      uint64_t host = replica->record().hostOf(replica->group().leader());
      if (host != 0) return host;
    }
  }
  auto hint = hints_.find(group);
  if (hint != hints_.end()) return hint->second;
  auto record = host_.catalog().group(group);
  if (!record) return 0;
  for (const auto& each : record->replicas) {
    if (each.voter && host_.hostUp(each.host) && each.host != host_.id()) return each.host;
  }
  return 0;
}

const Replica* Router::replica(uint64_t group) const {
  return host_.parts_->replicas.find(group);
}

Replica* Router::replicaOf(GroupRef group) const {
  Replica* replica = host_.parts_->replicas.find(group.id);
  bool same = replica != nullptr && replica->record().incarnation == group.incarnation;
  return same && !replica->broken() ? replica : nullptr;
}

Replica* Router::carriesOut(GroupRef group, bool forward) const {
  Replica* replica = replicaOf(group);
  return replica != nullptr && (replica->group().leads() || !forward) ? replica : nullptr;
}

void Router::propose(Replica& replica, std::vector<group::Call> calls, kj::Own<CallBatch> batch) {
  CallTable& table = host_.parts_->calls;
  replica.calls += calls.size();
  for (uint32_t place = 0; place < calls.size(); ++place) {
    group::Call& call = calls[place];
    call.frees = replica.group().isOverMemory() && replica.frees(call.interfaceId, call.method);
    replica.group().propose(table.add(kj::addRef(*batch), place), std::move(call));
  }
  flushSoon(replica);
}

void Router::flushSoon(Replica& replica) {
  if (replica.group().isFull()) {
    replica.flush();
  } else {
    replica.touch();
  }
}

kj::Promise<Outcomes> Router::ask(Replica& replica, std::vector<group::Call> calls,
                                  group::Freshness freshness, AnswerShare share) {
  auto paf = kj::newPromiseAndFulfiller<Outcomes>();
  if (calls.empty()) return Outcomes{};
  auto batch = kj::refcounted<AwaitedBatch>(CallKind::queries, calls.size(), kj::mv(paf.fulfiller),
                                            kj::mv(share));
  CallTable& table = host_.parts_->calls;
  replica.calls += calls.size();
  for (uint32_t place = 0; place < calls.size(); ++place) {
    group::CallId id = table.add(kj::addRef(*batch), place);
    replica.group().query(id, std::move(calls[place]), freshness);
  }
  flushSoon(replica);
  return kj::mv(paf.promise);
}

// The leader's host in an outcome of this host's own replica, which names a replica.
void Router::nameHosts(const Replica& replica, Outcomes& outcomes) const {
  for (group::Outcome& each : outcomes) {
    if (each.leaderHint != 0) each.leaderHint = replica.record().hostOf(each.leaderHint);
  }
}

kj::Promise<Outcomes> Router::submit(GroupRef group, std::vector<group::Call> calls, bool forward,
                                     AnswerShare share) {
  if (Replica* replica = carriesOut(group, forward)) {
    if (calls.empty()) return Outcomes{};
    auto paf = kj::newPromiseAndFulfiller<Outcomes>();
    auto batch = kj::refcounted<AwaitedBatch>(CallKind::commands, calls.size(),
                                              kj::mv(paf.fulfiller), kj::mv(share));
    propose(*replica, std::move(calls), kj::mv(batch));
    return paf.promise.then([this, hold = replica->shared_from_this()](Outcomes outcomes) {
      nameHosts(*hold, outcomes);
      return outcomes;
    });
  }
  uint64_t host = leaderHost(group.id);
  if (!forward || host == 0 || host == host_.id()) return allFailed(calls.size(), refusal(group));
  return forwardCalls(host, group, std::move(calls), CallKind::commands, {}, kj::mv(share));
}

kj::Promise<Outcomes> Router::query(GroupRef group, std::vector<group::Call> calls,
                                    group::Freshness freshness, bool forward, AnswerShare share) {
  Replica* replica = replicaOf(group);
  // Any replica that works answers a query: it asks its leader for the index to wait for.
  if (replica != nullptr && (!forward || replica->machineState() <= MachineState::running)) {
    auto hold = replica->shared_from_this();
    std::vector<group::Call> again = forward ? calls : std::vector<group::Call>{};
    AnswerShare same = share.get() == nullptr ? AnswerShare() : kj::addRef(*share);
    return ask(*replica, std::move(calls), freshness, kj::mv(same))
        .then([this, hold, group, freshness, forward, again = std::move(again),
               share = kj::mv(share)](Outcomes outcomes) mutable -> kj::Promise<Outcomes> {
          nameHosts(*hold, outcomes);
          uint64_t host = leaderHost(group.id);
          bool elsewhereBetter = forward && !outcomes.empty() && elsewhere(outcomes.front()) &&
                                 host != 0 && host != host_.id();
          if (!elsewhereBetter) return kj::Promise<Outcomes>(std::move(outcomes));
          return forwardCalls(host, group, std::move(again), CallKind::queries, freshness,
                              kj::mv(share));
        });
  }
  uint64_t host = leaderHost(group.id);
  if (!forward || host == 0 || host == host_.id()) return allFailed(calls.size(), refusal(group));
  return forwardCalls(host, group, std::move(calls), CallKind::queries, freshness, kj::mv(share));
}

kj::Promise<schema::Group::Client> Router::remote(uint64_t host, GroupRef group) {
  return host_.peer(host).then([group](schema::Peer::Client peer) -> schema::Group::Client {
    auto request = peer.groupRequest();
    request.setId(group.id);
    request.setIncarnation(group.incarnation);
    return request.send().getGroup();
  });
}

void Router::learn(uint64_t group, const Outcomes& outcomes) {
  if (outcomes.empty() || !elsewhere(outcomes.front())) return;
  uint64_t leader = outcomes.front().leaderHint;
  if (leader == 0) {
    hints_.erase(group);
  } else if (hints_.size() < kHintsMax) {
    hints_[group] = leader;
  }
}

kj::Promise<Outcomes> Router::forwardCalls(uint64_t host, GroupRef group,
                                           std::vector<group::Call> calls, CallKind kind,
                                           group::Freshness freshness, AnswerShare share) {
  bool commands = kind == CallKind::commands;
  std::size_t asked = calls.size();
  auto sent = kj::heap<bool>(false);
  bool& bytesLeft = *sent;
  return remote(host, group)
      .then([this, group, calls = std::move(calls), kind, commands, freshness, asked, &bytesLeft,
             share = kj::mv(share)](schema::Group::Client remote) mutable -> kj::Promise<Outcomes> {
        bytesLeft = true;
        auto settle = [this, group, asked, budget = AnswerBudget(kind, asked, kj::mv(share))](
                          capnp::List<schema::Outcome>::Reader from) mutable {
          Outcomes outcomes = fromWire(from, asked, budget);
          learn(group.id, outcomes);
          return outcomes;
        };
        if (commands) {
          auto request = remote.submitRequest(capnp::MessageSize{wordsOf(calls), 0});
          auto list = request.initCommands(static_cast<unsigned>(calls.size()));
          for (unsigned i = 0; i < calls.size(); ++i) {
            auto stamp = list[i].initStamp();
            stamp.setSession(calls[i].stamp.session);
            stamp.setSequence(calls[i].stamp.sequence);
            stamp.setAcknowledgedBelow(calls[i].stamp.acknowledgedBelow);
            list[i].setInterfaceId(calls[i].interfaceId);
            list[i].setMethod(calls[i].method);
            list[i].setParams(dataOf(calls[i].params));
          }
          return request.send().then([settle = kj::mv(settle)](auto response) mutable {
            return settle(response.getOutcomes());
          });
        }
        auto request = remote.queryRequest(capnp::MessageSize{wordsOf(calls), 0});
        auto list = request.initQuestions(static_cast<unsigned>(calls.size()));
        for (unsigned i = 0; i < calls.size(); ++i) {
          list[i].setInterfaceId(calls[i].interfaceId);
          list[i].setMethod(calls[i].method);
          list[i].setParams(dataOf(calls[i].params));
        }
        auto fresh = request.initFreshness();
        switch (freshness.kind) {
          case group::Freshness::Kind::linearizable:
            fresh.setLinearizable();
            break;
          case group::Freshness::Kind::lease:
            fresh.setLease();
            break;
          case group::Freshness::Kind::stale:
            fresh.setStaleMaxAgeMs(static_cast<uint32_t>(freshness.maxAgeUs / 1000));
            break;
        }
        return request.send().then([settle = kj::mv(settle)](auto response) mutable {
          return settle(response.getOutcomes());
        });
      })
      .catch_([this, group, asked, host, commands,
               &bytesLeft](kj::Exception&& exception) -> Outcomes {
        hints_.erase(group.id);
        Fault fault = net::faultOf(exception);
        // Once the bytes of a command have left, a broken connection says nothing of its fate.
        bool fate = fault.code == ErrorCode::unavailable || fault.code == ErrorCode::unknown;
        ErrorCode code = fate
                             ? (commands && bytesLeft ? ErrorCode::unknown : ErrorCode::unavailable)
                             : fault.code;
        return allFailed(asked, failed(code, "host " + std::to_string(host) + ": " + fault.text));
      })
      .attach(kj::mv(sent));
}

kj::Promise<group::Outcome> Router::openSession(GroupRef group, bool forward) {
  if (Replica* replica = carriesOut(group, forward)) {
    auto paf = kj::newPromiseAndFulfiller<Outcomes>();
    auto batch = kj::refcounted<AwaitedBatch>(CallKind::commands, 1, kj::mv(paf.fulfiller));
    replica->group().openSession(host_.parts_->calls.add(kj::mv(batch), 0));
    replica->touch();
    auto hold = replica->shared_from_this();
    return paf.promise.then([this, hold](Outcomes outcomes) {
      nameHosts(*hold, outcomes);
      return std::move(outcomes.front());
    });
  }
  uint64_t host = leaderHost(group.id);
  if (!forward || host == 0 || host == host_.id()) return refusal(group);
  return remote(host, group)
      .then([](schema::Group::Client remote) { return remote.openSessionRequest().send(); })
      .then([](auto response) {
        group::Outcome outcome;
        outcome.position.index = response.getSession();
        return outcome;
      })
      .catch_([this, group](kj::Exception&& exception) {
        hints_.erase(group.id);
        Fault fault = net::faultOf(exception);
        return failed(fault.code, fault.text);
      });
}

Replica* Router::hearing(GroupRef group) const {
  Replica* replica = host_.parts_->replicas.find(group.id);
  bool here = replica != nullptr && replica->record().incarnation == group.incarnation;
  return here && replica->tells() ? replica : nullptr;
}

bool Router::hears(GroupRef group, group::Position after) const {
  Replica* replica = hearing(group);
  if (replica == nullptr) return false;
  return after.index != group::kEventsFromNow || replica->group().status().ready;
}

kj::Promise<group::EventsRead> Router::events(GroupRef group, group::Position after,
                                              std::string topicPrefix, bool waits) {
  Replica* replica = hearing(group);
  if (replica == nullptr) {
    return net::gone("its replica here has stopped or gone");
  }
  // Who waits does not keep a replica that is removed.
  auto look = [weak = replica->weak_from_this(), after,
               prefix = std::move(topicPrefix)]() -> kj::Promise<group::EventsRead> {
    std::shared_ptr<Replica> here = weak.lock();
    if (!here || !here->tells()) return net::gone("its replica here has stopped or gone");
    return here->lookForEvents(after, prefix);
  };
  if (!waits) return look();
  return replica->eventsPast(after).then(std::move(look));
}

kj::Promise<schema::Subscription::Client> Router::listen(GroupRef group, Wish wish, bool forward) {
  uint64_t host = leaderHost(group.id);
  if (!forward || host == 0 || host == host_.id()) {
    group::Outcome refused = refusal(group);
    return net::refusal(refused.code, std::string(refused.body.view()));
  }
  return remote(host, group)
      .then([wish = kj::mv(wish)](
                schema::Group::Client remote) mutable -> kj::Promise<schema::Subscription::Client> {
        auto request = remote.subscribeRequest();
        request.setTopicPrefix(wish.topicPrefix);
        request.getAfter().setIndex(wish.after.index);
        request.getAfter().setOrdinal(wish.after.ordinal);
        request.setSink(kj::mv(wish.sink));
        return request.send().then([](auto response) { return response.getSubscription(); });
      })
      .catch_(
          [this, group](kj::Exception&& exception) -> kj::Promise<schema::Subscription::Client> {
            hints_.erase(group.id);
            return net::refusal(net::faultOf(exception));
          });
}

}  // namespace flotilla::runtime

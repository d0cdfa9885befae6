// Finds who answers for a group: the replica here, or another host, once.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include <kj/async.h>

#include "host/group/events.h"
#include "host/group/ports.h"
#include "host/runtime/answer_budget.h"
#include "schemas/peer.capnp.h"

namespace flotilla::runtime {

class CallBatch;
class Host;
class Replica;

// A group as somebody got to know it: a group of the same name made later is another one.
struct GroupRef {
  uint64_t id = 0;
  uint64_t incarnation = 0;

  auto operator<=>(const GroupRef&) const = default;
};

// Outcomes in the order asked. An Outcome that is `notLeader` names the leader's host where one is
// known (Outcome::leaderHint holds a host id here, not a replica id).
using Outcomes = std::vector<group::Outcome>;

// Carries calls to the replica that can answer them. `forward` allows one hop to another host; what
// comes from another host is asked with forward=false, so there is never a second one.
//
// Owner:  Host.
// Thread: the loop's.
// Errors: in the outcomes; the promises fail only when the host stops. Each promise may be dropped:
//         what was begun goes on.
// Time:   every call ends within its group's call time-out (10 s), with `timeout` at worst.
class Router {
public:
  explicit Router(Host& host) : host_(host) {}

  // `share`: where the answers are counted; null: nowhere.
  kj::Promise<Outcomes> submit(GroupRef group, std::vector<group::Call> calls, bool forward,
                               AnswerShare share = {});
  kj::Promise<Outcomes> query(GroupRef group, std::vector<group::Call> calls,
                              group::Freshness freshness, bool forward, AnswerShare share = {});
  // The same without a promise, where a replica here can carry commands out: `batch` is told,
  // perhaps at once. `nameHosts` is then for the caller to call.
  Replica* carriesOut(GroupRef group, bool forward) const;
  void propose(Replica& replica, std::vector<group::Call> calls, kj::Own<CallBatch> batch);
  void nameHosts(const Replica& replica, Outcomes& outcomes) const;

  // A session's id, as an outcome whose `position.index` it is.
  kj::Promise<group::Outcome> openSession(GroupRef group, bool forward);

  // Whether a replica here can be listened to; else `listen` asks another host to push to `sink`.
  // What comes from now on is told by one that knows when now is.
  bool hears(GroupRef group, group::Position after) const;
  // What a machine has told after a position, of the replica here. `waits`: once there is something
  // after it; else as it is. Rejected where that replica has stopped or gone.
  kj::Promise<group::EventsRead> events(GroupRef group, group::Position after,
                                        std::string topicPrefix, bool waits);
  struct Wish {
    std::string topicPrefix;
    group::Position after;
    schema::EventSink::Client sink;
  };
  // Rejected where no host is known that could.
  kj::Promise<schema::Subscription::Client> listen(GroupRef group, Wish wish, bool forward);

  // The one here, in whatever state; null: there is none.
  const Replica* replica(uint64_t group) const;
  // The host that leads the group as far as is known here; 0: not known.
  uint64_t leaderHost(uint64_t group) const;

private:
  Replica* replicaOf(GroupRef group) const;  // here, of that incarnation, and not broken
  kj::Promise<Outcomes> ask(Replica& replica, std::vector<group::Call> calls,
                            group::Freshness freshness, AnswerShare share);
  static void flushSoon(Replica& replica);
  kj::Promise<Outcomes> forwardCalls(uint64_t host, GroupRef group, std::vector<group::Call> calls,
                                     CallKind kind, group::Freshness freshness, AnswerShare share);
  void learn(uint64_t group, const Outcomes& outcomes);
  Replica* hearing(GroupRef group) const;
  kj::Promise<schema::Group::Client> remote(uint64_t host, GroupRef group);
  // What a call gets that cannot be carried anywhere.
  group::Outcome refusal(GroupRef group) const;

  Host& host_;
  std::map<uint64_t, uint64_t> hints_;  // group → host that led it, from refusals of other hosts
};

}  // namespace flotilla::runtime

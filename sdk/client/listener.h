// One who listens to a group's events, through whichever host is there.
#pragma once

#include <string>
#include <vector>

#include <kj/async.h>
#include <kj/function.h>
#include <kj/refcount.h>

#include "schemas/client.capnp.h"
#include "sdk/client/hosts.h"
#include "sdk/client/outcome.h"
#include "sdk/client/route.h"

namespace flotilla::client {

// To begin with what comes from now on.
constexpr Position kFromNow{UINT64_MAX, 0};
inline bool fromNow(Position position) {
  return position == kFromNow;
}

// What a machine emitted; several events of one command have its position.
struct Event {
  Position position;
  std::string topic;
  std::string message;
};

// Some events, in order.
struct Events {
  std::vector<Event> events;
  Position upTo;           // what to begin after another time: all up to here has been looked at
  bool compacted = false;  // before these, some are gone that the group does not keep any more
  bool more = false;       // more is kept already
};

// Follows a group: when the host it listens through goes, or falls silent, it begins again at
// another, after the last position it has heard of. So each event that the group still keeps comes
// once and in order, whatever becomes of hosts and leaders.
//
// Owner:  whoever subscribed; dropping it ends it, and what `listen` has under way. Keeps its Hosts
//         and Route.
// Thread: the client's loop.
// Errors: `ended` is rejected with what no waiting mends: `groupRemoved`, `denied`, `badRequest`,
//         `noSuchGroup`; with what `listen` threw; everything else is tried again.
class Listener final : public kj::Refcounted {
public:
  // Called with some events at a time; the next come once its promise is fulfilled. It must not
  // drop the Listener itself.
  using Listen = kj::Function<kj::Promise<void>(Events&&)>;

  Listener(kj::Own<Hosts> hosts, kj::Own<Route> route, std::string topicPrefix, Position after,
           Listen listen);
  ~Listener() noexcept(false);
  KJ_DISALLOW_COPY(Listener);

  // What `listen` has done with: where another Listener would begin to go on from here.
  Position upTo() const { return upTo_; }
  kj::Promise<void> ended() { return ended_.addBranch(); }

private:
  class Ear;

  kj::Promise<void> follow();
  kj::Promise<void> listenAt(Target& target);
  kj::Promise<void> watch(Link& link);
  kj::Promise<void> heard(uint64_t turn, Events events);
  kj::Promise<void> tell(Events events);

  kj::Own<Hosts> hosts_;
  kj::Own<Route> route_;
  std::string topicPrefix_;
  Position handed_;  // up to here `listen` has been given all
  Position upTo_;
  Listen listen_;
  uint64_t incarnation_ = 0;  // of the group; 0: not known yet
  uint64_t turn_ = 0;         // of listening: what an earlier host pushes late is not heard
  bool heardOf_ = false;      // its host has pushed something lately
  kj::Canceler alive_;        // before what it wraps, so that it goes after
  kj::PromiseFulfillerPair<void> refused_ = kj::newPromiseAndFulfiller<void>();
  kj::ForkedPromise<void> told_;
  kj::ForkedPromise<void> ended_;
};

}  // namespace flotilla::client

// Where one group's calls go now.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <kj/async.h>
#include <kj/refcount.h>
#include <kj/timer.h>

#include "schemas/client.capnp.h"
#include "sdk/client/hosts.h"

namespace flotilla::client {

// A group's capability at one host.
struct Target {
  schema::Group::Client group;
  kj::Own<Link> link;
  uint64_t connection = 0;   // of that link; under another number the capability is dead
  uint64_t groupId = 0;      // which group stands behind the name
  uint64_t incarnation = 0;  // and which life of it
};

// Finds a group by its name and then its leader, by what hosts say; any host will do where the
// leader cannot be reached, for hosts forward. Looks again when told that a target was of no use,
// and now and then by itself, since forwarded calls do not show that leadership has moved.
//
// Owner:  GroupClient; its lanes share it.
// Thread: the client's loop.
// Errors: `seek` is rejected with `noSuchGroup` when every host that is up says so, with `denied`,
//         or with what kept the host from answering, after which one seeks again a little later.
class Route final : public kj::Refcounted, private kj::TaskSet::ErrorHandler {
public:
  Route(kj::Own<Hosts> hosts, std::string name);

  // null: seek first.
  kj::Maybe<Target&> now();
  kj::Promise<void> seek();

  // What calls learned of a target that they used. Words about an earlier one are passed over.
  void leads(uint64_t turn, HostAddress leader);  // another host leads
  void lost(uint64_t turn, bool silent);          // of no use; silent: its host answers nobody
  uint64_t turn() const { return turn_; }         // names the present target

  Hosts& hosts() { return *hosts_; }
  const std::string& name() const { return name_; }

private:
  struct Search;
  struct Found {
    Target target;
    HostAddress leader;  // as that host last heard
  };
  kj::Promise<void> look();
  kj::Promise<void> search();
  kj::Promise<void> askAny(kj::Own<Search> search);
  kj::Promise<void> ask(kj::Own<Search> search, kj::Own<Link> link);
  kj::Promise<Found> identify(capnp::RemotePromise<schema::Host::FindGroupResults> answer,
                              Target target);
  kj::Promise<void> follow(kj::Own<Search> search, Found found);
  kj::Promise<void> refused(kj::Own<Search> search, const kj::Exception& why);
  void settle(Target target, bool direct);
  void sought();
  void refresh();
  void taskFailed(kj::Exception&& exception) override;

  kj::Own<Hosts> hosts_;
  std::string name_;
  kj::Maybe<Target> target_;
  uint64_t turn_ = 0;
  HostAddress hint_;   // who leads, as last heard
  std::string avoid_;  // address of the host that was of no use last
  kj::TimePoint refreshAt_;
  bool refreshing_ = false;
  kj::Maybe<kj::ForkedPromise<void>> seeking_;
  kj::TaskSet tasks_;
};

}  // namespace flotilla::client

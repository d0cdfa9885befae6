// One group, as its clients call it.
#pragma once

#include <memory>
#include <string>

#include <capnp/capability.h>
#include <kj/async.h>
#include <kj/function.h>
#include <kj/refcount.h>
#include <kj/timer.h>

#include "sdk/client/description.h"
#include "sdk/client/hosts.h"
#include "sdk/client/lane.h"
#include "sdk/client/listener.h"
#include "sdk/client/outcome.h"
#include "sdk/client/route.h"

namespace flotilla::client {

// Calls one group: finds it, follows its leader, gathers calls of one turn of the loop into one
// batch, and repeats a command under the same stamp until it is answered or its time is up, so that
// it is carried out once, whatever happens to hosts and connections meanwhile. Calls that are under
// way together have no order among them.
//
// Owner:  whoever holds an Own; Client keeps one a name. Dropping the last one drops its calls.
// Thread: the client's loop.
// Errors: outcomes carry faults, among them `overloaded` where too much waits, `unavailable` where
//         nothing was sent in time, `timeout` where no answer came in time, and `unknown` where an
//         unstamped command's connection broke. Nothing here throws but `describe`.
// Time:   a call ends within ClientOptions::callTimeoutMs.
class GroupClient final : public kj::Refcounted {
public:
  using Done = kj::Function<void(Outcome&&)>;

  GroupClient(kj::Own<Hosts> hosts, std::string name);
  ~GroupClient() noexcept(false);

  const std::string& name() const { return name_; }

  // A command, and a query. `params` are flat words and are copied.
  kj::Promise<Outcome> call(MethodId method, kj::ArrayPtr<const capnp::word> params);
  kj::Promise<Outcome> query(MethodId method, kj::ArrayPtr<const capnp::word> params,
                             Freshness freshness = {});

  // The same at less cost: `done` is called on the loop, once, never from inside the call.
  void call(MethodId method, kj::ArrayPtr<const capnp::word> params, Done done);
  void query(MethodId method, kj::ArrayPtr<const capnp::word> params, Freshness freshness,
             Done done);

  // What the group's plugin offers; asked for once. Throws as `service` calls do.
  kj::Promise<std::shared_ptr<const Description>> describe();
  // The same where it is known by now; else null.
  const Description* described() const { return description_.get(); }

  // The plugin's own interface; a failed call's exception is read by faultOf. It holds on to this.
  capnp::Capability::Client service();
  template <typename T>
  typename T::Client as() {
    return service().castAs<T>();
  }

  // What the machine emits after a position, of topics that begin so; see Listener.
  kj::Own<Listener> subscribe(std::string topicPrefix, Position after, Listener::Listen listen);

  // Commands and queries that wait or are under way.
  size_t unanswered() const;

private:
  std::string name_;
  kj::Own<Hosts> hosts_;
  kj::Own<Route> route_;
  Lane commands_;
  Lane queries_;
  kj::Promise<std::shared_ptr<const Description>> askDescription();

  std::shared_ptr<const Description> description_;
};

}  // namespace flotilla::client

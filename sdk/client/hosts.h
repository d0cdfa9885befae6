// All hosts of a cluster that a client knows, and the connections to them.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include <kj/async.h>
#include <kj/refcount.h>
#include <kj/timer.h>

#include "sdk/client/connector.h"
#include "sdk/client/intake.h"
#include "sdk/client/link.h"
#include "sdk/client/options.h"
#include "sdk/client/turn_end.h"

namespace flotilla::client {

// Begins with the addresses it is given, learns others from whoever lets it in, and keeps trying
// those that are wanted, ever less often. A host that was learned is connected to when first asked
// for by name.
//
// Owner:  Client, and every Route and Admin.
// Thread: the client's loop.
// Errors: `reach` is rejected when every given address has failed; `any` only where every given
//         host refuses the token, which no waiting mends.
class Hosts final : public kj::Refcounted, private kj::TaskSet::ErrorHandler {
public:
  Hosts(kj::Timer& timer, kj::Own<Connector> connector, ClientOptions options);
  ~Hosts() noexcept(false);

  kj::Promise<void> reach();

  // A host that is up, another than `avoid` where there is one; waits for one to come up.
  kj::Promise<kj::Own<Link>> any(const std::string& avoid = "");
  // That host if it is up or comes up within `patience`, else null.
  kj::Promise<kj::Maybe<kj::Own<Link>>> named(HostAddress host, kj::Duration patience);

  // A group at that host is silent. If the host is too, its connection is dropped.
  void suspect(Link& link);

  std::vector<Link*> up();
  // Calls without an answer, in all lanes; the lanes count.
  size_t unanswered = 0;

  kj::Timer& timer() { return timer_; }
  TurnEnd& turnEnd() { return turnEnd_; }
  Intake& intake() { return intake_; }
  const ClientOptions& options() const { return options_; }

private:
  struct Waiter {
    kj::Own<kj::PromiseFulfiller<void>> fulfiller;
    bool impatient = false;  // ends with the first round of failures
  };

  Link& linkTo(const std::string& address);
  Link* find(const HostAddress& host);
  void start(Link& link);
  void startAll();
  kj::Promise<void> tend(Link& link, uint64_t failures);
  kj::Promise<void> wait(bool impatient);
  kj::Promise<kj::Maybe<kj::Own<Link>>> named(Link& link, kj::TimePoint until);
  void tellWatchers();
  void wentUp(Link& link);
  void failed();
  std::optional<Fault> hopeless(bool onlyIfDenied);
  void taskFailed(kj::Exception&& exception) override;

  kj::Timer& timer_;
  kj::Own<Connector> connector_;
  ClientOptions options_;
  TurnEnd turnEnd_;
  Intake intake_{turnEnd_};
  std::string cluster_;                                        // of the first host that let us in
  std::map<std::string, kj::Own<Link>> links_;                 // by address
  std::set<std::string> tended_;                               // addresses that are tried for ever
  std::set<std::string> suspected_;                            // addresses that are being probed
  std::vector<Waiter> waiters_;                                // for any host
  std::vector<kj::Own<kj::PromiseFulfiller<void>>> watchers_;  // for whatever changes
  uint64_t turn_ = 0;                                          // spreads choices over hosts
  kj::TaskSet tasks_;
};

constexpr size_t kHostsMax = 256;

}  // namespace flotilla::client

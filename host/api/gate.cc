// Who comes in, and what they are given.
#include "host/api/gate.h"

#include <atomic>
#include <utility>

#include "host/api/faults.h"
#include "host/base/log.h"

namespace flotilla::api {
namespace {

using Role = runtime::Access::Role;

schema::Role wire(Role role) {
  switch (role) {
    case Role::client:
      return schema::Role::CLIENT;
    case Role::operatorRole:
      return schema::Role::OPERATOR;
    case Role::peer:
      return schema::Role::PEER;
  }
  return schema::Role::CLIENT;
}

// One line at the first, then at each doubling: who guesses would fill the log.
void tellOfWrong(const std::string& from) {
  static std::atomic<uint64_t> wrong{0};
  uint64_t count = ++wrong;
  if ((count & (count - 1)) != 0) return;
  base::logWarn("gate: wrong token, from=" + from + " wrong_tokens=" + std::to_string(count));
}

}  // namespace

kj::Promise<void> Gate::login(LoginContext context) {
  if (wrong_ >= kWrongMax) {
    return exceptionOf(ErrorCode::denied,
                       "login: too many wrong tokens on this connection; connect again");
  }
  Result<runtime::Access> access = house_.access(context.getParams().getToken());
  if (!access) {
    ++wrong_;
    tellOfWrong((*visitor_)->address());
    return exceptionOf(access.fault());
  }
  // Each login has bounds of its own for what is under way.
  if (std::exchange(loggedIn_, true)) {
    return exceptionOf(ErrorCode::badRequest,
                       "login: this connection has logged in already; open another for another "
                       "token");
  }
  (*visitor_)->loggedIn(access->role);
  auto session = context.getResults().initSession();
  session.setRole(wire(access->role));
  if (access->role == Role::peer) {
    session.setPeer(house_.peer(**visitor_));
  } else {
    session.setHost(
        house_.host(*access, [visitor = visitor_]() { return (*visitor)->unsentBytes(); }));
  }
  if (access->role == Role::operatorRole) session.setAdmin(house_.admin(*access));
  session.setHostId(house_.hostId);
  session.setCluster(house_.cluster);
  session.setVersion(house_.version);
  auto known = house_.hosts();
  auto hosts = session.initHosts(static_cast<unsigned>(known.size()));
  for (unsigned i = 0; i < hosts.size(); ++i) {
    hosts[i].setId(known[i].first);
    hosts[i].setAddress(known[i].second);
  }
  return kj::READY_NOW;
}

}  // namespace flotilla::api

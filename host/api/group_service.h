// One group, as its clients see it: schemas/client.capnp Group.
#pragma once

#include <string>

#include "host/api/session.h"
#include "schemas/client.capnp.h"

namespace flotilla::api {

// Cap'n Proto's servers are disposed of by what made them.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wnon-virtual-dtor"

// Bound to id and incarnation, not to a name or a host.
//
// Owner:  the connection that asked for it.
// Thread: the loop's.
// Errors: a call that cannot be begun fails with exceptionOf(fault); what becomes of each command
// of
//         a batch is in its outcome.
class GroupService final : public schema::Group::Server {
public:
  GroupService(kj::Own<Session> session, runtime::GroupRef group, std::string name);

protected:
  kj::Promise<void> service(ServiceContext context) override;
  kj::Promise<void> submit(SubmitContext context) override;
  kj::Promise<void> query(QueryContext context) override;
  kj::Promise<void> openSession(OpenSessionContext context) override;
  kj::Promise<void> describe(DescribeContext context) override;
  kj::Promise<void> subscribe(SubscribeContext context) override;

private:
  kj::Own<Session> session_;
  runtime::GroupRef group_;
  std::string name_;
};

#pragma GCC diagnostic pop

}  // namespace flotilla::api

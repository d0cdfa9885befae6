// One host, as an application sees it: schemas/client.capnp Host.
#pragma once

#include <string>

#include "host/api/catalog_commands.h"
#include "host/api/session.h"
#include "schemas/client.capnp.h"

namespace flotilla::api {

// Cap'n Proto's servers are disposed of by what made them.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wnon-virtual-dtor"

// Groups by name: found, listed, counted, and by operators created.
//
// Owner:  the connection that logged in.
// Thread: the loop's.
// Errors: as exceptionOf says; a client that names a group beyond its patterns is `denied`.
class HostService final : public schema::Host::Server {
public:
  HostService(kj::Own<Session> session, CatalogCommands& commands)
      : session_(kj::mv(session)), commands_(commands) {}

protected:
  kj::Promise<void> createGroup(CreateGroupContext context) override;
  kj::Promise<void> findGroup(FindGroupContext context) override;
  kj::Promise<void> hasGroup(HasGroupContext context) override;
  kj::Promise<void> listGroups(ListGroupsContext context) override;
  kj::Promise<void> countGroups(CountGroupsContext context) override;
  kj::Promise<void> openCourier(OpenCourierContext context) override;

private:
  schema::Group::Client bound(const catalog::GroupRecord& group);
  void write(const catalog::GroupRecord& group, schema::GroupEntry::Builder to) const;
  Fault denied(const std::string& name) const;
  kj::Maybe<Admission::Ticket> enterFind(const std::string& name);

  kj::Own<Session> session_;
  CatalogCommands& commands_;
};

#pragma GCC diagnostic pop

}  // namespace flotilla::api

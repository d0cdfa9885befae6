// Group 0's machine, as the host links it in.
#pragma once

#include <string>
#include <string_view>

#include "flotilla/abi.h"
#include "flotilla/entry.h"
#include "host/catalog/state.h"
#include "schemas/catalog.capnp.h"

namespace flotilla::catalog {

// The descriptor of the built-in catalog machine (schemas/catalog.capnp), for host/plugin to make
// machines of, as it does from a plugin's entry symbol.
//
// A host reads its own replica's state with the query Catalog.changes and keeps a CatalogView of
// it; the machine itself knows nothing of the host it runs in.
const flotilla_descriptor* catalogDescriptor();

// The catalog: which hosts, plugins and groups exist, and what is wanted of them. Each command is
// judged first and then changes the state in one piece; given again, it changes nothing more.
//
// Owner:  the applier of group 0, behind the C boundary.
// Thread: the machine's.
// Errors: throws Error with an ErrorCode's name as its code.
class CatalogMachine {
public:
  void registerHost(const Entry&, schema::Catalog::RegisterHostParams::Reader in,
                    schema::Catalog::RegisterHostResults::Builder out);
  void addPlugin(const Entry&, schema::Catalog::AddPluginParams::Reader in,
                 schema::Catalog::AddPluginResults::Builder out);
  void createGroup(const Entry&, schema::Catalog::CreateGroupParams::Reader in,
                   schema::Catalog::CreateGroupResults::Builder out);
  void removeGroup(const Entry&, schema::Catalog::RemoveGroupParams::Reader in,
                   schema::Catalog::RemoveGroupResults::Builder out);
  void report(const Entry&, schema::Catalog::ReportParams::Reader in,
              schema::Catalog::ReportResults::Builder out);
  void switchGroup(const Entry&, schema::Catalog::SwitchGroupParams::Reader in,
                   schema::Catalog::SwitchGroupResults::Builder out);
  void setGroup(const Entry&, schema::Catalog::SetGroupParams::Reader in,
                schema::Catalog::SetGroupResults::Builder out);
  void changes(const View&, schema::Catalog::ChangesParams::Reader in,
               schema::Catalog::ChangesResults::Builder out) const;

private:
  void checkHost(const HostRecord& host) const;
  static bool same(const HostRecord& left, const HostRecord& right);
  void requireHost(uint64_t id) const;
  // Finds the plugin's file and the hosts that the group will live on.
  void resolve(GroupRecord& group, const GroupOptions& options) const;
  void requireVolume(const std::string& who, uint64_t id, const std::string& volume) const;
  void addHolder(std::string_view sha256, uint64_t host);
  // A replica's phase only moves forward, and `removed` counts only where it was asked for.
  void takeReport(uint64_t host, schema::HostReport::Replica::Reader report);
  void settle(GroupRecord& group);

  CatalogState state_;
};

}  // namespace flotilla::catalog

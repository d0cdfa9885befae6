// What a host gives to those who connect to it.
#include "host/api/services.h"

#include <string>

#include "host/api/admin_service.h"
#include "host/api/group_service.h"
#include "host/api/host_service.h"

namespace flotilla::api {

Services::Services(runtime::Host& host)
    : host_(host),
      commands_(host),
      rounds_(host),
      house_(house()),
      peers_(kj::refcounted<Session>(host)) {}

House Services::house() {
  auto session = [this](const runtime::Access& access, std::function<size_t()> unsentBytes) {
    return kj::refcounted<Session>(host_, access, std::move(unsentBytes));
  };
  return House{
      .access = [this](kj::StringPtr token) { return host_.access(token); },
      .host = [this, session](const runtime::Access& access,
                              std::function<size_t()> unsentBytes) -> schema::Host::Client {
        return kj::heap<HostService>(session(access, std::move(unsentBytes)), commands_);
      },
      .admin = [this, session](const runtime::Access& access) -> capnp::Capability::Client {
        return schema::Admin::Client(
            kj::heap<AdminService>(session(access, [] { return size_t{0}; }), commands_, rounds_));
      },
      .peer = [this](runtime::Visitor& visitor) -> capnp::Capability::Client {
        return host_.peerService(visitor);
      },
      .hosts =
          [this]() {
            std::vector<std::pair<uint64_t, std::string>> known;
            for (uint64_t id : host_.hosts()) known.emplace_back(id, host_.addressOf(id));
            return known;
          },
      .hostId = host_.config().hostId,
      .cluster = host_.config().clusterName,
      .version = runtime::Host::version(),
  };
}

runtime::Host::Services Services::forHost() {
  return {
      .gate = [this](kj::Own<runtime::Visitor> visitor) -> capnp::Capability::Client {
        return schema::Gate::Client(kj::heap<Gate>(house_, kj::mv(visitor)));
      },
      .localGroup = [this](runtime::GroupRef group) -> schema::Group::Client {
        catalog::GroupPointer known = host_.catalog().group(group.id);
        std::string name = known ? known->spec.name : "id:" + std::to_string(group.id);
        return kj::heap<GroupService>(kj::addRef(*peers_), group, std::move(name));
      },
  };
}

}  // namespace flotilla::api

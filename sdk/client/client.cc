// A client of a Flotilla cluster.
#include "sdk/client/client.h"

namespace flotilla::client {
namespace {

// Groups beyond this are kept only while somebody uses them.
constexpr size_t kGroupsKeptMax = 4'096;

}  // namespace

Client::Client(kj::AsyncIoContext& io, ClientOptions options)
    : Client(io.provider->getTimer(), connectOver(io.provider->getNetwork()), std::move(options)) {}

Client::Client(kj::Timer& timer, kj::Own<Connector> connector, ClientOptions options)
    : hosts_(kj::refcounted<Hosts>(timer, kj::mv(connector), std::move(options))) {}

kj::Promise<void> Client::reach() {
  return hosts_->reach().attach(kj::addRef(*hosts_));
}

kj::Own<GroupClient> Client::group(const std::string& name) {
  if (groups_.size() >= kGroupsKeptMax && !groups_.contains(name)) {
    std::erase_if(groups_,
                  [](auto& it) { return !it.second->isShared() && it.second->unanswered() == 0; });
  }
  kj::Own<GroupClient>& group = groups_[name];
  if (group.get() == nullptr) {
    group = kj::refcounted<GroupClient>(kj::addRef(*hosts_), name);
  }
  return kj::addRef(*group);
}

Admin Client::admin() {
  return Admin(kj::addRef(*hosts_));
}

kj::Promise<schema::Host::Client> Client::host() {
  return hosts_->any()
      .then([](kj::Own<Link>&& link) { return link->host(); })
      .attach(kj::addRef(*hosts_));
}

}  // namespace flotilla::client

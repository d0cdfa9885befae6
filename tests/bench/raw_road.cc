// The bench's calls as any Cap'n Proto client would make them.
#include <map>

#include <capnp/rpc-twoparty.h>
#include <kj/debug.h>

#include "kv.capnp.h"
#include "sdk/client/fault_text.h"
#include "sdk/client/link.h"
#include "tests/bench/road.h"

namespace flotilla::bench {
namespace {

#pragma GCC diagnostic ignored "-Wnon-virtual-dtor"  // kj's ErrorHandler has none

// A connection to each host that leads a group, and each group's own capability there. A leader
// that moves is not followed: its calls go on through the host that forwards them.
class RawRoad final : public Road, private kj::TaskSet::ErrorHandler {
public:
  RawRoad(kj::AsyncIoContext& io, client::ClientOptions access, const Options& options, Sink& sink)
      : timer_(io.provider->getTimer()),
        connector_(client::connectOver(io.provider->getNetwork())),
        access_(std::move(access)),
        options_(options),
        sink_(sink),
        tasks_(*this) {}

  kj::Promise<void> open() override {
    return linkTo(access_.addresses.front()).then([this](client::Link* link) {
      return find(*link, 0);
    });
  }

  void put(const Call& call, std::string_view key, std::string_view value) override {
    auto request = services_[call.key.group].putRequest();
    request.setKey(capnp::Text::Reader(key.data(), key.size()));
    request.setValue(kj::arrayPtr(reinterpret_cast<const kj::byte*>(value.data()), value.size()));
    tasks_.add(
        request.send().then([this, call](auto&&) { sink_.ended(call, {}); },
                            [this, call](kj::Exception&& exception) { failed(call, exception); }));
  }

  void get(const Call& call, std::string_view key) override {
    auto request = services_[call.key.group].getRequest();
    request.setKey(capnp::Text::Reader(key.data(), key.size()));
    tasks_.add(request.send().then(
        [this, call](auto&& response) {
          auto value = response.getValue().asChars();
          sink_.ended(call, {nullptr, response.getFound(), {value.begin(), value.size()}});
        },
        [this, call](kj::Exception&& exception) { failed(call, exception); }));
  }

private:
  kj::Promise<client::Link*> linkTo(const std::string& address) {
    kj::Own<client::Link>& link = links_[address];
    if (link.get() == nullptr) {
      link = kj::refcounted<client::Link>(timer_, turnEnd_, *connector_, address, access_);
    }
    if (link->up()) return link.get();
    return link->connect().then([&link]() { return link.get(); });
  }

  // Asks one host for every group in turn, and goes to its leader.
  kj::Promise<void> find(client::Link& link, uint32_t group) {
    if (group == options_.groups) return kj::READY_NOW;
    auto request = link.host().findGroupRequest();
    request.setName(options_.groupName(group));
    return request.send()
        .then([this, &link](auto&& found) -> kj::Promise<schema::Group::Client> {
          auto leader = found.getEntry().getLeader();
          if (leader.getId() == 0 || leader.getId() == link.hostId()) return found.getGroup();
          std::string name = found.getEntry().getName().cStr();
          return linkTo(leader.getAddress().cStr()).then([name](client::Link* there) {
            auto again = there->host().findGroupRequest();
            again.setName(name);
            return again.send().then([](auto&& its) { return its.getGroup(); });
          });
        })
        .then([](schema::Group::Client&& its) { return its.serviceRequest().send(); })
        .then([this, &link, group](auto&& service) {
          services_.push_back(service.getService().template castAs<Kv>());
          return find(link, group + 1);
        });
  }

  void failed(const Call& call, const kj::Exception& exception) {
    Fault fault = client::faultOf(exception);
    sink_.ended(call, {&fault, false, {}});
  }
  void taskFailed(kj::Exception&& exception) override { KJ_LOG(ERROR, exception); }

  kj::Timer& timer_;
  kj::Own<client::Connector> connector_;
  client::ClientOptions access_;
  const Options& options_;
  Sink& sink_;
  client::TurnEnd turnEnd_;
  std::map<std::string, kj::Own<client::Link>> links_;
  std::vector<Kv::Client> services_;
  kj::TaskSet tasks_;
};

}  // namespace

std::unique_ptr<Road> rawRoad(kj::AsyncIoContext& io, const client::ClientOptions& access,
                              const Options& options, Sink& sink) {
  return std::make_unique<RawRoad>(io, access, options, sink);
}

}  // namespace flotilla::bench

// What operators ask of a cluster.
#include "sdk/client/admin.h"

#include "sdk/client/fault_text.h"
#include "sdk/client/retry.h"
#include "sdk/client/within.h"

namespace flotilla::client {
namespace {

constexpr kj::Duration kPause = 100 * kj::MILLISECONDS;

// Beyond the time that a host is given, so that its own word comes first.
constexpr uint64_t kGraceMs = 1'000;

// One request on its way, through as many hosts as it takes.
//
// Owner:  the promise of its answer.
// Thread: the client's loop.
// Errors: rejected with a fault's text.
template <typename Results>
class Asking final : public kj::Refcounted {
public:
  using Response = capnp::Response<Results>;
  using Send = kj::Function<kj::Promise<Response>(schema::Admin::Client&)>;

  Asking(kj::Own<Hosts> hosts, Send send, uint64_t attemptMs)
      : hosts_(kj::mv(hosts)), send_(kj::mv(send)), attemptMs_(attemptMs) {}

  kj::Promise<Response> run(uint64_t limitMs) {
    auto late = hosts_->timer()
                    .afterDelay((limitMs + kGraceMs) * kj::MILLISECONDS)
                    .then([this, limitMs]() -> kj::Promise<Response> {
                      return exceptionOf(lateAfter(limitMs));
                    });
    return attempt().exclusiveJoin(kj::mv(late)).attach(kj::addRef(*this));
  }

private:
  Fault lateAfter(uint64_t limitMs) const {
    std::string text = "no answer within " + std::to_string(limitMs) + " ms";
    if (!trouble_.empty()) text += "; last heard: " + trouble_;
    return {sent_ ? ErrorCode::timeout : ErrorCode::unavailable, text, ""};
  }

  kj::Promise<Response> attempt() {
    return hosts_->any(avoid_).then([this](kj::Own<Link>&& link) { return askOf(kj::mv(link)); });
  }

  kj::Promise<Response> askOf(kj::Own<Link> link) {
    avoid_ = link->address();
    KJ_IF_MAYBE (api, link->admin()) {
      sent_ = true;
      return within(hosts_->timer(), attemptMs_ * kj::MILLISECONDS, send_(*api),
                    {ErrorCode::unknown, "host " + avoid_ + ": silent", ""})
          .catch_([this, link = kj::mv(link)](kj::Exception&& exception) mutable {
            return failed(kj::mv(exception), *link);
          });
    }
    return exceptionOf({ErrorCode::denied, "the token is a client's; use an operator's", ""});
  }

  kj::Promise<Response> failed(kj::Exception&& exception, Link& link) {
    Fault fault = faultOf(exception);
    bool final = fault.code == ErrorCode::timeout || fault.code == ErrorCode::faulted ||
                 verdictOn(fault.code, true) == Verdict::final;
    if (final) return kj::mv(exception);
    if (fault.code == ErrorCode::unknown) hosts_->suspect(link);
    trouble_ = fault.text;
    return hosts_->timer().afterDelay(kPause).then([this]() { return attempt(); });
  }

  kj::Own<Hosts> hosts_;
  Send send_;
  uint64_t attemptMs_;
  bool sent_ = false;
  std::string avoid_;
  std::string trouble_;
};

template <typename Results, typename Send>
kj::Promise<capnp::Response<Results>> ask(Hosts& hosts, uint64_t limitMs, uint64_t attemptMs,
                                          Send&& send) {
  auto asking = kj::refcounted<Asking<Results>>(
      kj::addRef(hosts),
      [send = kj::fwd<Send>(send)](schema::Admin::Client& api) mutable
      -> kj::Promise<capnp::Response<Results>> { return send(api).send(); },
      attemptMs);
  return asking->run(limitMs);
}

}  // namespace

using Api = schema::Admin;

Admin::Admin(kj::Own<Hosts> hosts) : hosts_(kj::mv(hosts)) {
  timeoutMs_ = hosts_->options().callTimeoutMs;
}

Admin::Admin(kj::Own<Hosts> hosts, uint64_t timeoutMs)
    : hosts_(kj::mv(hosts)), timeoutMs_(timeoutMs) {}

// What only looks is asked of another host when one is silent.
template <typename Results, typename Send>
kj::Promise<capnp::Response<Results>> Admin::look(Send&& send) {
  return ask<Results>(*hosts_, timeoutMs_, hosts_->options().attemptTimeoutMs + kGraceMs,
                      kj::fwd<Send>(send));
}

// What changes something may take its time, for it is answered when it has been seen to be done.
template <typename Results, typename Send>
kj::Promise<capnp::Response<Results>> Admin::change(Send&& send) {
  return ask<Results>(*hosts_, timeoutMs_, timeoutMs_ + kGraceMs, kj::fwd<Send>(send));
}

uint32_t Admin::hostTimeoutMs() const {
  return static_cast<uint32_t>(std::min<uint64_t>(timeoutMs_, UINT32_MAX));
}

kj::Promise<capnp::Response<Api::ListHostsResults>> Admin::listHosts() {
  return look<Api::ListHostsResults>([](Api::Client& api) { return api.listHostsRequest(); });
}

kj::Promise<capnp::Response<Api::ShowHostResults>> Admin::showHost(uint64_t id) {
  return look<Api::ShowHostResults>([id](Api::Client& api) {
    auto request = api.showHostRequest();
    request.setId(id);
    return request;
  });
}

kj::Promise<capnp::Response<Api::PushPluginResults>> Admin::pushPlugin(kj::Array<kj::byte> file) {
  return change<Api::PushPluginResults>([file = kj::mv(file)](Api::Client& api) {
    auto request = api.pushPluginRequest(capnp::MessageSize{file.size() / 8 + 8, 0});
    request.setFile(file);
    return request;
  });
}

kj::Promise<capnp::Response<Api::ListPluginsResults>> Admin::listPlugins() {
  return look<Api::ListPluginsResults>([](Api::Client& api) { return api.listPluginsRequest(); });
}

kj::Promise<capnp::Response<Api::ShowPluginResults>> Admin::showPlugin(std::string name) {
  return look<Api::ShowPluginResults>([name = std::move(name)](Api::Client& api) {
    auto request = api.showPluginRequest();
    request.setName(name);
    return request;
  });
}

kj::Promise<capnp::Response<Api::CreateGroupResults>> Admin::createGroup(
    kj::Function<void(schema::GroupSpec::Builder)> fill) {
  return change<Api::CreateGroupResults>(
      [fill = kj::mv(fill), timeoutMs = hostTimeoutMs()](Api::Client& api) mutable {
        auto request = api.createGroupRequest();
        fill(request.initSpec());
        request.setTimeoutMs(timeoutMs);
        return request;
      });
}

kj::Promise<capnp::Response<Api::RemoveGroupResults>> Admin::removeGroup(std::string name) {
  return change<Api::RemoveGroupResults>(
      [name = std::move(name), timeoutMs = hostTimeoutMs()](Api::Client& api) {
        auto request = api.removeGroupRequest();
        request.setName(name);
        request.setTimeoutMs(timeoutMs);
        return request;
      });
}

kj::Promise<capnp::Response<Api::ListGroupsResults>> Admin::listGroups(GroupFilter filter) {
  return look<Api::ListGroupsResults>([filter = std::move(filter)](Api::Client& api) {
    auto request = api.listGroupsRequest();
    request.setOn(filter.on);
    request.setPlugin(filter.plugin);
    request.setUnhealthyOnly(filter.unhealthyOnly);
    request.setAfter(filter.after);
    request.setLimit(filter.limit);
    return request;
  });
}

kj::Promise<capnp::Response<Api::CountGroupsResults>> Admin::countGroups() {
  return look<Api::CountGroupsResults>([](Api::Client& api) { return api.countGroupsRequest(); });
}

kj::Promise<capnp::Response<Api::ShowGroupResults>> Admin::showGroup(std::string name) {
  return look<Api::ShowGroupResults>([name = std::move(name)](Api::Client& api) {
    auto request = api.showGroupRequest();
    request.setName(name);
    return request;
  });
}

kj::Promise<capnp::Response<Api::TransferLeaderResults>> Admin::transferLeader(std::string name,
                                                                               uint64_t toHost) {
  return change<Api::TransferLeaderResults>(
      [name = std::move(name), toHost, timeoutMs = hostTimeoutMs()](Api::Client& api) {
        auto request = api.transferLeaderRequest();
        request.setName(name);
        request.setTo(toHost);
        request.setTimeoutMs(timeoutMs);
        return request;
      });
}

kj::Promise<capnp::Response<Api::SnapshotGroupResults>> Admin::snapshotGroup(std::string name) {
  return change<Api::SnapshotGroupResults>(
      [name = std::move(name), timeoutMs = hostTimeoutMs()](Api::Client& api) {
        auto request = api.snapshotGroupRequest();
        request.setName(name);
        request.setTimeoutMs(timeoutMs);
        return request;
      });
}

kj::Promise<capnp::Response<Api::ClusterStatusResults>> Admin::clusterStatus() {
  return look<Api::ClusterStatusResults>(
      [](Api::Client& api) { return api.clusterStatusRequest(); });
}

kj::Promise<capnp::Response<Api::RetryGroupResults>> Admin::retryGroup(std::string name) {
  return change<Api::RetryGroupResults>([name = std::move(name)](Api::Client& api) {
    auto request = api.retryGroupRequest();
    request.setName(name);
    return request;
  });
}

kj::Promise<capnp::Response<Api::RebuildGroupResults>> Admin::rebuildGroup(std::string name,
                                                                           uint64_t onHost) {
  return change<Api::RebuildGroupResults>(
      [name = std::move(name), onHost, timeoutMs = hostTimeoutMs()](Api::Client& api) {
        auto request = api.rebuildGroupRequest();
        request.setName(name);
        request.setOn(onHost);
        request.setTimeoutMs(timeoutMs);
        return request;
      });
}

kj::Promise<capnp::Response<Api::SetGroupResults>> Admin::setGroup(
    std::string name, std::vector<std::pair<std::string, std::string>> options) {
  return change<Api::SetGroupResults>([name = std::move(name), options = std::move(options),
                                       timeoutMs = hostTimeoutMs()](Api::Client& api) {
    auto request = api.setGroupRequest();
    request.setName(name);
    auto list = request.initOptions(static_cast<unsigned>(options.size()));
    for (unsigned i = 0; i < list.size(); ++i) {
      list[i].setKey(options[i].first);
      list[i].setValue(options[i].second);
    }
    request.setTimeoutMs(timeoutMs);
    return request;
  });
}

kj::Promise<capnp::Response<Api::UpgradeGroupResults>> Admin::upgradeGroup(std::string name,
                                                                           std::string plugin) {
  return change<Api::UpgradeGroupResults>([name = std::move(name), plugin = std::move(plugin),
                                           timeoutMs = hostTimeoutMs()](Api::Client& api) {
    auto request = api.upgradeGroupRequest();
    request.setName(name);
    request.setPlugin(plugin);
    request.setTimeoutMs(timeoutMs);
    return request;
  });
}

}  // namespace flotilla::client

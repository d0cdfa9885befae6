// One connection to one host.
#include "sdk/client/link.h"

#include "sdk/client/connection.h"
#include "sdk/client/fault_text.h"

namespace flotilla::client {

// One connection and what came of its login. Its parts go in the opposite order.
struct Link::Wire {
  Connection client;
  kj::Maybe<schema::Host::Client> host;
  kj::Maybe<schema::Admin::Client> admin;
  kj::Own<kj::PromiseFulfiller<void>> dropped;
  kj::ForkedPromise<void> down;
  kj::Maybe<kj::Own<Courier>> courier;

  Wire(kj::Own<kj::AsyncIoStream> its, kj::PromiseFulfillerPair<void> drop)
      : client(kj::mv(its), capnp::ReaderOptions()),
        dropped(kj::mv(drop.fulfiller)),
        down(client.onDisconnect().exclusiveJoin(kj::mv(drop.promise)).fork()) {}
};

Link::Link(kj::Timer& timer, TurnEnd& turnEnd, Connector& connector, std::string address,
           const ClientOptions& options)
    : timer_(timer),
      turnEnd_(turnEnd),
      connector_(connector),
      address_(std::move(address)),
      options_(options) {}

Link::~Link() noexcept(false) = default;

kj::Promise<void> Link::connect() {
  auto self = kj::addRef(*this);
  wire_ = nullptr;
  return timer_
      .timeoutAfter(
          kConnectMsMax * kj::MILLISECONDS,
          connector_.connect(address_.c_str()).then([this](kj::Own<kj::AsyncIoStream> stream) {
            return login(kj::mv(stream));
          }))
      .catch_([this](kj::Exception&& exception) {
        Fault fault = faultOf(exception);
        if (!carriesFault(exception)) fault.code = ErrorCode::unavailable;
        fault.text = "host " + address_ + ": " + fault.text;
        trouble_ = fault;
        kj::throwFatalException(exceptionOf(fault));
      })
      .attach(kj::mv(self));
}

kj::Promise<void> Link::login(kj::Own<kj::AsyncIoStream> stream) {
  auto wire = kj::heap<Wire>(kj::mv(stream), kj::newPromiseAndFulfiller<void>());
  auto request = wire->client.bootstrap().castAs<schema::Gate>().loginRequest();
  request.setToken(options_.token);
  return request.send().then(
      [this, wire = kj::mv(wire)](capnp::Response<schema::Gate::LoginResults>&& response) mutable {
        logged(kj::mv(wire), response.getSession());
      });
}

void Link::logged(kj::Own<Wire> wire, schema::Login::Reader login) {
  if (login.getRole() == schema::Role::PEER) {
    kj::throwFatalException(exceptionOf(
        {ErrorCode::denied, "the token is a peer's; use a client's or an operator's", ""}));
  }
  wire->host = login.getHost();
  if (login.hasAdmin()) wire->admin = login.getAdmin().castAs<schema::Admin>();
  hostId_ = login.getHostId();
  cluster_ = login.getCluster().cStr();
  known_.clear();
  for (auto host : login.getHosts()) {
    known_.push_back({host.getId(), std::string(host.getAddress().cStr())});
  }
  wire->courier = kj::refcounted<Courier>(turnEnd_, timer_, address_, login.getHost(),
                                          options_.commandWaitMs(), wire->down.addBranch());
  wire_ = kj::mv(wire);
  up_ = true;
  ++connection_;
  trouble_ = std::nullopt;
}

kj::Promise<void> Link::whenDown() {
  if (!up_) return kj::READY_NOW;
  auto self = kj::addRef(*this);
  return wire_->down.addBranch().catch_([](kj::Exception&&) {}).then([this, self = kj::mv(self)]() {
    up_ = false;
    // The wire itself stays until the next attempt, so that it is not taken down from inside its
    // own event; capabilities on it fail by themselves.
  });
}

void Link::refuse(Fault fault) {
  trouble_ = std::move(fault);
  drop();
}

void Link::drop() {
  if (!up_) return;
  up_ = false;
  wire_->dropped->fulfill();
}

schema::Host::Client Link::host() {
  return KJ_ASSERT_NONNULL(wire_->host);
}

Courier& Link::courier() {
  return *KJ_ASSERT_NONNULL(wire_->courier);
}

kj::Maybe<schema::Admin::Client> Link::admin() {
  return wire_->admin;
}

}  // namespace flotilla::client

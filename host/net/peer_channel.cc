// A connection to a peer, past its door.
#include "host/net/peer_channel.h"

#include <string>
#include <utility>

#include "host/net/peer_service.h"
#include "host/net/refusal.h"
#include "schemas/client.capnp.h"

namespace flotilla::net {

PeerChannel::PeerChannel(kj::Own<kj::AsyncIoStream> stream, uint64_t expectedHost)
    : connection(kj::mv(stream)), peer(nullptr), expectedHost_(expectedHost) {}

kj::Promise<void> PeerChannel::login(PeerContext& context) {
  auto request = connection.bootstrap().castAs<schema::Gate>().loginRequest();
  request.setToken(context.config.token.c_str());
  return request.send().then([this](capnp::Response<schema::Gate::LoginResults> answer) {
    schema::Login::Reader session = answer.getSession();
    if (session.getRole() != schema::Role::PEER || !session.hasPeer()) {
      kj::throwFatalException(refusal(ErrorCode::denied,
                                      "our token is not the peers' token there; give all hosts of "
                                      "a cluster the same peer.token"));
    }
    peer = session.getPeer().castAs<schema::Peer>();
  });
}

kj::Promise<void> PeerChannel::greet(PeerContext& context) {
  auto request = peer.helloRequest();
  encode(context.events.mine(), request.initMine());
  return request.send().then([this, &context](capnp::Response<schema::Peer::HelloResults> answer) {
    Result<Handshake> yours = decode(answer.getYours());
    if (!yours) kj::throwFatalException(refusal(yours.fault()));
    if (yours->host != expectedHost_) {
      kj::throwFatalException(refusal(
          ErrorCode::denied, "host " + std::to_string(yours->host) + " answers at its address"));
    }
    Result<void> judged = context.events.admit(*yours, expectedHost_);
    if (!judged) kj::throwFatalException(refusal(judged.fault()));
    theirs = std::move(*yours);
    takesAsides = answer.getTakesAsides();
  });
}

kj::Promise<kj::Own<PeerChannel>> openChannel(PeerContext& context, uint64_t host,
                                              const Address& address) {
  return context.dialer.dial(address).then([&context, host](kj::Own<kj::AsyncIoStream> stream) {
    auto channel = kj::heap<PeerChannel>(kj::mv(stream), host);
    PeerChannel& entering = *channel;
    kj::Promise<void> entered =
        entering.login(context).then([&context, &entering] { return entering.greet(context); });
    return within(context.timer, context.config.loginMs, "no answer to our login in time",
                  kj::mv(entered))
        .then([held = kj::mv(channel)]() mutable { return kj::mv(held); });
  });
}

kj::Promise<schema::Peer::Client> LazyChannel::get(const Address& address) {
  KJ_IF_MAYBE (channel, channel_) {
    return (*channel)->peer;
  }
  if (!opening_) {
    opening_ = true;
    opened_ = openChannel(context_, host_, address)
                  .then(
                      [this](kj::Own<PeerChannel> channel) {
                        opening_ = false;
                        watch_ = channel->connection.onDisconnect()
                                     .then([this] { channel_ = nullptr; })
                                     .eagerlyEvaluate(nullptr);
                        channel_ = kj::mv(channel);
                      },
                      [this](kj::Exception&& exception) {
                        opening_ = false;
                        kj::throwFatalException(kj::mv(exception));
                      })
                  .fork();
  }
  kj::Promise<void> opened = KJ_ASSERT_NONNULL(opened_).addBranch();
  return askers_.wrap(opened.then([this]() -> kj::Promise<schema::Peer::Client> {
    KJ_IF_MAYBE (channel, channel_) {
      return (*channel)->peer;
    }
    return gone("connection closed");
  }));
}

void LazyChannel::close() {
  askers_.cancel(gone("connection closed"));
  opening_ = false;
  opened_ = nullptr;
  watch_ = nullptr;
  channel_ = nullptr;
}

kj::Promise<void> within(kj::Timer& timer, int64_t ms, const std::string& reason,
                         kj::Promise<void> promise) {
  auto tooLate = timer.afterDelay(ms * kj::MILLISECONDS).then([reason]() -> kj::Promise<void> {
    return gone(reason);
  });
  return promise.exclusiveJoin(kj::mv(tooLate));
}

}  // namespace flotilla::net

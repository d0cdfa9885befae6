// What a host answers to its peers.
#include "host/net/peer_service.h"

#include <string>
#include <utility>
#include <vector>

#include <capnp/message.h>
#include <kj/refcount.h>

#include "host/base/log.h"
#include "host/net/codec.h"
#include "host/net/refusal.h"
#include "host/net/snapshot_chunks.h"
#include "host/net/snapshot_stream.h"

namespace flotilla::net {
namespace {

constexpr uint32_t kFoundersMax = 64;
constexpr size_t kTextBytesMax = 1024;
constexpr kj::uint kCreditsWords = 16;

std::string stringOf(capnp::Text::Reader text) {
  return {text.begin(), text.size()};
}

// How many transfers of one connection are under way. Shared, for a transfer may end last.
struct Transfers : kj::Refcounted {
  uint32_t count = 0;
};

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wnon-virtual-dtor"  // capnp's servers are destroyed by kj::Own

// One peer's connection, past the login.
//
// Owner:  the peer's capability.
// Thread: its loop's.
// Errors: refusals; before hello everything but hello is denied.
class PeerService final : public schema::Peer::Server {
public:
  PeerService(PeerEvents& events, kj::Timer& timer, kj::Own<client::SharedPipe> pipe);
  ~PeerService() noexcept(false);

protected:
  kj::Promise<void> hello(HelloContext context) override;
  kj::Promise<void> frame(FrameContext context) override;
  kj::Promise<void> beat(BeatContext context) override;
  kj::Promise<void> openSnapshot(OpenSnapshotContext context) override;
  kj::Promise<void> offerSnapshot(OfferSnapshotContext context) override;
  kj::Promise<void> group(GroupContext context) override;
  kj::Promise<void> fetchPlugin(FetchPluginContext context) override;
  kj::Promise<void> status(StatusContext context) override;
  kj::Promise<void> control(ControlContext context) override;
  kj::Promise<void> upgrade(UpgradeContext context) override;

private:
  void needHello() const;
  kj::Maybe<client::MessagePipe&> pipe();
  void takeAside(schema::Aside::Reader aside);
  void take(schema::Frame::Reader frame);
  group::PeerMessage headOf(schema::Message::Reader from) const;
  kj::Own<void> countTransfer();
  size_t unanswered() const { return held_.size() + owed_; }
  void answerSoon();
  void answerAll();

  PeerEvents& events_;
  kj::Timer& timer_;
  uint64_t host_ = 0;  // who is there; 0 before hello
  kj::Own<Transfers> transfers_ = kj::refcounted<Transfers>();
  kj::Own<client::SharedPipe> pipe_;                       // null: there is none
  std::vector<kj::Own<kj::PromiseFulfiller<void>>> held_;  // frames that are calls, unanswered
  uint32_t owed_ = 0;                                      // credits, for frames that came aside
  kj::Promise<void> answering_ = kj::READY_NOW;
};

#pragma GCC diagnostic pop

PeerService::PeerService(PeerEvents& events, kj::Timer& timer, kj::Own<client::SharedPipe> pipe)
    : events_(events), timer_(timer), pipe_(kj::mv(pipe)) {
  KJ_IF_MAYBE (found, this->pipe()) {
    found->onAside([this](capnp::AnyPointer::Reader content) {
      auto failure = kj::runCatchingExceptions([&] { takeAside(content.getAs<schema::Aside>()); });
      KJ_IF_MAYBE (exception, failure) {
        base::logWarn("peer h" + std::to_string(host_) + ": its connection here ends (" +
                      faultOf(*exception).text + ")");
        kj::throwFatalException(kj::mv(*exception));
      }
    });
  }
}

PeerService::~PeerService() noexcept(false) {
  KJ_IF_MAYBE (found, pipe()) found->takeNoAside();
}

kj::Maybe<client::MessagePipe&> PeerService::pipe() {
  if (pipe_.get() == nullptr) return nullptr;
  return pipe_->pipe;
}

void PeerService::needHello() const {
  if (host_ == 0) {
    kj::throwFatalException(
        refusal(ErrorCode::denied, "peer: a call before hello; say hello first"));
  }
}

kj::Promise<void> PeerService::hello(HelloContext context) {
  Result<Handshake> theirs = decode(context.getParams().getMine());
  if (!theirs) return refusal(theirs.fault());
  if (host_ != 0 && host_ != theirs->host) {
    return refusal(ErrorCode::denied, "peer h" + std::to_string(host_) + ": says now that it is h" +
                                          std::to_string(theirs->host));
  }
  Result<void> judged = events_.admit(*theirs, 0);
  if (!judged) return refusal(judged.fault());
  host_ = theirs->host;
  encode(events_.mine(), context.getResults().initYours());
  context.getResults().setTakesAsides(pipe() != nullptr);
  return kj::READY_NOW;
}

kj::Promise<void> PeerService::frame(FrameContext context) {
  take(context.getParams().getFrame());
  context.releaseParams();
  auto paf = kj::newPromiseAndFulfiller<void>();
  held_.push_back(kj::mv(paf.fulfiller));
  answerSoon();
  return kj::mv(paf.promise);
}

// What is thrown from here ends the connection.
void PeerService::takeAside(schema::Aside::Reader aside) {
  if (!aside.isFrame()) {
    kj::throwFatalException(refusal(ErrorCode::badRequest, "peer: an aside that is no frame"));
  }
  take(aside.getFrame());
  ++owed_;
  answerSoon();
}

void PeerService::take(schema::Frame::Reader frame) {
  needHello();
  events_.received(host_, decode(frame).messages);
}

void PeerService::answerSoon() {
  if (unanswered() >= kFramesHeldMax) {
    answerAll();
  } else if (unanswered() == 1) {
    answering_ = timer_.afterDelay(kFramesHeldMs * kj::MILLISECONDS)
                     .then([this] { answerAll(); })
                     .eagerlyEvaluate(nullptr);
  }
}

void PeerService::answerAll() {
  for (auto& each : held_) each->fulfill();
  held_.clear();
  uint32_t credits = std::exchange(owed_, 0);
  if (credits == 0) return;
  KJ_IF_MAYBE (found, pipe()) {
    capnp::MallocMessageBuilder message(kCreditsWords);
    client::MessagePipe::beginAside<schema::Aside>(message).setCredits(credits);
    found->sendAside(message);
  }
}

kj::Promise<void> PeerService::beat(BeatContext context) {
  needHello();
  auto params = context.getParams();
  events_.heardBeat(host_, {params.getBoot(), params.getSleeping()});
  return kj::READY_NOW;
}

// A transfer may begin with this head, or is refused.
group::PeerMessage PeerService::headOf(schema::Message::Reader from) const {
  needHello();
  if (transfers_->count >= kSnapshotsInMax) {
    kj::throwFatalException(
        refusal(ErrorCode::overloaded, "snapshot: " + std::to_string(kSnapshotsInMax) +
                                           " transfers are under way; try again later"));
  }
  Result<group::PeerMessage> head = decode(from);
  if (!head) kj::throwFatalException(refusal(head.fault()));
  if (head->message.kind != raft::MessageKind::snapshot) {
    kj::throwFatalException(
        refusal(ErrorCode::badRequest, "snapshot: its head is no snapshot message"));
  }
  return std::move(*head);
}

// Held as long as the transfer.
kj::Own<void> PeerService::countTransfer() {
  ++transfers_->count;
  kj::Own<Transfers> transfers = kj::addRef(*transfers_);
  Transfers& counted = *transfers;
  return kj::heap(kj::defer([&counted] { --counted.count; })).attach(kj::mv(transfers));
}

kj::Promise<void> PeerService::openSnapshot(OpenSnapshotContext context) {
  auto params = context.getParams();
  group::PeerMessage head = headOf(params.getHead());
  SnapshotReceiver::Announced announced{params.getBytes(), params.getChecksum()};
  Result<kj::Own<SnapshotFile>> file = events_.snapshotOffered(host_, head, announced.bytes);
  if (!file) return refusal(file.fault());
  context.getResults().setSink(
      kj::heap<SnapshotReceiver>(kj::mv(*file), announced, countTransfer()));
  return kj::READY_NOW;
}

kj::Promise<void> PeerService::offerSnapshot(OfferSnapshotContext context) {
  group::PeerMessage head = headOf(context.getParams().getHead());
  Result<kj::Own<SnapshotArrival>> arrival = events_.snapshotComes(host_, head);
  if (!arrival) return refusal(arrival.fault());
  context.getResults().setThere(kj::heap<ChunkReceiver>(kj::mv(*arrival), countTransfer()));
  return kj::READY_NOW;
}

kj::Promise<void> PeerService::group(GroupContext context) {
  needHello();
  auto params = context.getParams();
  return events_.group(params.getId(), params.getIncarnation())
      .then([context](schema::Group::Client client) mutable {
        context.getResults().setGroup(kj::mv(client));
      });
}

kj::Promise<void> PeerService::fetchPlugin(FetchPluginContext context) {
  needHello();
  return events_.fetchPlugin(context);
}

kj::Promise<void> PeerService::status(StatusContext context) {
  needHello();
  return events_.status(context);
}

kj::Promise<void> PeerService::upgrade(UpgradeContext context) {
  needHello();
  return events_.upgrade(context);
}

kj::Promise<void> PeerService::control(ControlContext context) {
  needHello();
  return events_.control(context);
}

}  // namespace

schema::Peer::Client makePeerService(PeerEvents& events, kj::Timer& timer,
                                     kj::Own<client::SharedPipe> pipe) {
  return kj::heap<PeerService>(events, timer, kj::mv(pipe));
}

void encode(const Handshake& from, schema::Handshake::Builder to) {
  to.setClusterId(from.clusterId.c_str());
  to.setCluster(from.cluster.c_str());
  to.setHost(from.host);
  to.setBirth(from.birth.c_str());
  auto founders = to.initFounders(static_cast<uint32_t>(from.founders.size()));
  for (uint32_t i = 0; i < founders.size(); ++i) {
    founders[i].setId(from.founders[i].id);
    founders[i].setAddress(from.founders[i].address.c_str());
  }
  to.setFounded(from.founded);
  to.setVersion(from.version.c_str());
  to.setBootNumber(from.bootNumber);
}

Result<Handshake> decode(schema::Handshake::Reader from) {
  Fault bad{ErrorCode::badRequest, "peer: a handshake without host id, or over its limits", ""};
  Handshake to;
  to.clusterId = stringOf(from.getClusterId());
  to.cluster = stringOf(from.getCluster());
  to.host = from.getHost();
  to.birth = stringOf(from.getBirth());
  to.founded = from.getFounded();
  to.version = stringOf(from.getVersion());
  to.bootNumber = from.getBootNumber();
  bool tooLong = to.clusterId.size() > kTextBytesMax || to.cluster.size() > kTextBytesMax ||
                 to.birth.size() > kTextBytesMax || to.version.size() > kTextBytesMax;
  if (tooLong || to.host == 0 || from.getFounders().size() > kFoundersMax) return bad;
  for (schema::HostAddress::Reader founder : from.getFounders()) {
    if (founder.getAddress().size() > kTextBytesMax) return bad;
    to.founders.push_back({founder.getId(), stringOf(founder.getAddress())});
  }
  return to;
}

}  // namespace flotilla::net

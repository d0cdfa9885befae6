// This host's link to one peer.
#include "host/net/peer_link.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include <capnp/message.h>

#include "host/base/log.h"
#include "host/net/codec.h"
#include "host/net/refusal.h"
#include "host/net/snapshot_chunks.h"
#include "host/net/snapshot_stream.h"

namespace flotilla::net {
namespace {

constexpr uint64_t kWatchesPerAnswer = 4;
constexpr uint32_t kBeatsUnansweredMax = 4;  // the next ones wait until one of them is
constexpr int64_t kSayAgainMs = 10'000;
constexpr uint64_t kPumpBytes = 32 << 10;
constexpr uint64_t kFrameHeadBytes = 128;  // the call around the messages
// A frame of frameBytesMax that an append of appendBytesMax has ended, both by default.
constexpr uint64_t kFrameRoomWords = (2 << 20) / sizeof(capnp::word);

kj::Array<capnp::word> zeroes(size_t words) {
  auto room = kj::heapArray<capnp::word>(words);
  std::memset(room.begin(), 0, room.asBytes().size());
  return room;
}

kj::Promise<void> goneWith(const std::string& reason) {
  return gone(reason);
}

}  // namespace

// One connection for frames, while it stands.
struct PeerLink::Stream {
  Stream(kj::Own<PeerChannel> itsChannel, kj::Own<kj::PromiseFulfiller<void>> breakIt,
         kj::TimePoint now, kj::TaskSet::ErrorHandler& link)
      : channel(kj::mv(itsChannel)), broken(kj::mv(breakIt)), since(now), calls(link) {}
  ~Stream() noexcept(false) { greetings.cancel(gone("connection closed")); }
  KJ_DISALLOW_COPY(Stream);

  kj::Own<PeerChannel> channel;
  kj::Own<kj::PromiseFulfiller<void>> broken;  // rejected: the stream is to end
  kj::TimePoint since;
  uint64_t watches = 0;  // how often the watch has looked
  struct Unanswered {
    uint64_t since = 0;  // `watches` when it left
    uint64_t bytes = 0;
  };
  std::deque<Unanswered> unanswered;  // frames, the oldest first
  uint64_t unansweredBytes = 0;
  uint32_t beatsUnanswered = 0;
  kj::Canceler greetings;
  kj::TaskSet calls;
};

PeerLink::PeerLink(PeerContext& context, uint64_t host, const std::string& address)
    : context_(context),
      host_(host),
      name_("peer h" + std::to_string(host)),
      prng_(context.config.seed ^ (host * 0x9e3779b97f4a7c15ULL)),
      trouble_("not tried yet"),
      nextMs_(context.config.retryFirstMs),
      queue_(context.config.queueBytesMax),
      forwards_(context, host),
      snapshots_(context, host),
      tasks_(*this) {
  setAddress(address);
  begin();
}

PeerLink::~PeerLink() noexcept(false) = default;

// ---- one life after the other ------------------------------------------------------------------

void PeerLink::setAddress(const std::string& address) {
  addressText_ = address;
  Result<Address> parsed = parseAddress(address);
  address_.reset();
  if (parsed) {
    address_ = *parsed;
  } else {
    trouble_ = parsed.fault().text;
    base::logError(name_ + ": " + trouble_);
  }
}

void PeerLink::begin() {
  if (address_) life_ = keepTrying().eagerlyEvaluate(nullptr);
}

// May be called from inside the life that ends here, so the end comes a little later.
void PeerLink::moveTo(const std::string& address) {
  if (address == addressText_) return;
  tasks_.add(kj::evalLater([this, address] {
    retire();
    trouble_ = "moved to " + address;
    nextMs_ = context_.config.retryFirstMs;
    setAddress(address);
    begin();
  }));
}

void PeerLink::retire() {
  life_ = kj::READY_NOW;
  forwards_.close();
  snapshots_.close();
  for (auto& waiting : waitingSnapshots_) waiting->end->reject(downNow());
  waitingSnapshots_.clear();
  if (dropStream()) context_.events.down(host_);
}

kj::Promise<void> PeerLink::keepTrying() {
  return attempt()
      .catch_([this](kj::Exception&& exception) { onEnd(faultOf(exception).text); })
      .then([this] { return context_.timer.afterDelay(pauseMs_ * kj::MILLISECONDS); })
      .then([this] { return keepTrying(); });
}

kj::Promise<void> PeerLink::attempt() {
  return openChannel(context_, host_, *address_).then([this](kj::Own<PeerChannel> channel) {
    return stayUp(kj::mv(channel));
  });
}

// Ends, by an exception, when the stream does.
kj::Promise<void> PeerLink::stayUp(kj::Own<PeerChannel> channel) {
  auto broken = kj::newPromiseAndFulfiller<void>();
  auto closed =
      channel->connection.onDisconnect().then([] { return goneWith("connection closed"); });
  theirs_ = channel->theirs;
  auto stream =
      kj::heap<Stream>(kj::mv(channel), kj::mv(broken.fulfiller), context_.timer.now(), *this);
  stream->channel->connection.pipe().onAside(
      [this, &its = *stream](capnp::AnyPointer::Reader content) {
        auto failure =
            kj::runCatchingExceptions([&] { takeAside(its, content.getAs<schema::Aside>()); });
        KJ_IF_MAYBE (exception, failure) breakStream(*exception);
      });
  stream_ = kj::mv(stream);
  trouble_.clear();
  said_.clear();
  base::logInfo(name_ + ": connected, address=" + addressText_ +
                " boot=" + std::to_string(theirs_.bootNumber) + " version=" + theirs_.version);
  auto ended = broken.promise.exclusiveJoin(kj::mv(closed)).exclusiveJoin(watch());
  context_.events.up(host_, theirs_);
  return ended;
}

// Counts its own looks and not the time: after a pause of the whole process (SIGSTOP, a suspended
// machine) what the peer has answered meanwhile is read before it is judged.
kj::Promise<void> PeerLink::watch() {
  int64_t lookMs = std::max<int64_t>(context_.config.answerMs / int64_t{kWatchesPerAnswer}, 1);
  return context_.timer.afterDelay(lookMs * kj::MILLISECONDS).then([this]() -> kj::Promise<void> {
    KJ_IF_MAYBE (stream, stream_) {
      uint64_t now = ++(*stream)->watches;
      const auto& waiting = (*stream)->unanswered;
      if (!waiting.empty() && now - waiting.front().since > kWatchesPerAnswer) {
        return gone("no answer within " + std::to_string(context_.config.answerMs) + " ms");
      }
    }
    return watch();
  });
}

void PeerLink::onEnd(const std::string& reason) {
  trouble_ = reason;
  KJ_IF_MAYBE (stream, stream_) {
    bool lasted =
        context_.timer.now() - (*stream)->since > context_.config.retryMs * kj::MILLISECONDS;
    if (lasted) nextMs_ = context_.config.retryFirstMs;
  }
  int64_t nextMs = nextPauseMs();
  if (!dropStream()) {
    sayNotReached(reason, nextMs);
    return;
  }
  said_.clear();
  base::logWarn(name_ + ": gone (" + reason + "), trying again in " + std::to_string(nextMs) +
                " ms");
  context_.events.down(host_);
}

// While it stays away, a reason is said once and not at each attempt; reasons that take turns, not
// more often than each kSayAgainMs.
void PeerLink::sayNotReached(const std::string& reason, int64_t pauseMs) {
  kj::TimePoint now = context_.timer.now();
  bool saidLately = !said_.empty() && now - saidAt_ < kSayAgainMs * kj::MILLISECONDS;
  if (reason == said_ || saidLately) return;
  said_ = reason;
  saidAt_ = now;
  base::logWarn(name_ + ": not reached at " + addressText_ + " (" + reason + "), trying again in " +
                std::to_string(pauseMs) + " ms");
}

bool PeerLink::dropStream() {
  queue_.clear();
  if (stream_ == nullptr) return false;
  pumping_ = Pumping::no;
  pump_ = kj::READY_NOW;
  stream_ = nullptr;
  forwards_.close();  // or calls would wait for a host that answers nothing
  return true;
}

// From retryFirstMs, doubling to retryMs; half of it by chance, so that hosts do not dial in step.
int64_t PeerLink::nextPauseMs() {
  int64_t wholeMs = std::max<int64_t>(std::min(nextMs_, context_.config.retryMs), 1);
  nextMs_ = std::min(2 * wholeMs, context_.config.retryMs);
  auto halfMs = static_cast<uint64_t>(wholeMs / 2);
  pauseMs_ = wholeMs - static_cast<int64_t>(prng_.below(halfMs + 1));
  return pauseMs_;
}

// ---- frames ------------------------------------------------------------------------------------

void PeerLink::send(group::PeerMessage&& message) {
  if (stream_ == nullptr) {
    ++droppedWhileDown_;
    return;
  }
  queue_.add(std::move(message));
  pumpSoon();
}

// Beside the frames' credits. A host of an older version knows no beats; it knows no sleep either.
void PeerLink::sendBeat(group::Beat beat) {
  KJ_IF_MAYBE (found, stream_) {
    Stream& stream = **found;
    if (stream.beatsUnanswered >= kBeatsUnansweredMax) return;
    ++stream.beatsUnanswered;
    auto request = stream.channel->peer.beatRequest();
    request.setBoot(beat.boot);
    request.setSleeping(beat.digest);
    stream.calls.add(request.send().ignoreResult().then(
        [&stream] { --stream.beatsUnanswered; },
        [](kj::Exception&& exception) {
          bool older = exception.getType() == kj::Exception::Type::UNIMPLEMENTED;
          if (!older) kj::throwRecoverableException(kj::mv(exception));
        }));
  }
}

// When the loop has nothing else to do, so that what was sent in this turn of the loop goes
// together; once there is much, at once, so that the peer has it while the rest is made.
void PeerLink::pumpSoon() {
  bool much = queue_.bytes() >= kPumpBytes;
  Pumping wanted = much ? Pumping::now : Pumping::last;
  if (queue_.empty() || pumping_ >= wanted) return;
  KJ_IF_MAYBE (stream, stream_) {
    if (!mayFly(**stream)) return;
    pumping_ = wanted;
    auto pumpIt = [this] {
      pumping_ = Pumping::no;
      pump();
    };
    pump_ = (much ? kj::evalLater(kj::mv(pumpIt)) : kj::evalLast(kj::mv(pumpIt)))
                .eagerlyEvaluate([this](kj::Exception&& exception) { breakStream(exception); });
  }
}

bool PeerLink::mayFly(const Stream& stream) const {
  // Where the stream is full of frames, credits will come for some, and what is said by calls has
  // to come through between them.
  return stream.unanswered.size() < context_.config.framesInFlightMax &&
         stream.unansweredBytes < context_.config.framesInFlightBytesMax &&
         stream.channel->connection.pipe().hasRoom();
}

void PeerLink::pump() {
  KJ_IF_MAYBE (stream, stream_) {
    while (!queue_.empty() && mayFly(**stream)) sendFrame(**stream);
  }
}

void PeerLink::sendFrame(Stream& stream) {
  std::vector<group::PeerMessage> messages =
      queue_.take(context_.config.frameBytesMax, kFrameMessagesMax);
  uint64_t bytes = kFrameHeadBytes;
  for (const group::PeerMessage& message : messages) bytes += encodedBytes(message);
  uint64_t words = bytes / sizeof(capnp::word);
  auto fill = [&messages](schema::Frame::Builder frame) {
    auto list = frame.initMessages(static_cast<uint32_t>(messages.size()));
    for (uint32_t i = 0; i < list.size(); ++i) encode(messages[i], list[i]);
  };
  ++framesSent_;
  messagesSent_ += messages.size();
  stream.unanswered.push_back({stream.watches, bytes});
  stream.unansweredBytes += bytes;
  if (stream.channel->takesAsides) {
    auto send = [&](capnp::MessageBuilder&& message) {
      fill(client::MessagePipe::beginAside<schema::Aside>(message).initFrame());
      stream.channel->connection.pipe().sendAside(message);
    };
    if (words > kFrameRoomWords) {
      return send(capnp::MallocMessageBuilder(static_cast<kj::uint>(words)));
    }
    if (context_.frameRoom == nullptr) context_.frameRoom = zeroes(kFrameRoomWords);
    return send(capnp::MallocMessageBuilder(context_.frameRoom));
  }
  auto request = stream.channel->peer.frameRequest(capnp::MessageSize{words, 0});
  fill(request.initFrame());
  stream.calls.add(request.send().then(
      [this, &stream](capnp::Response<schema::Peer::FrameResults>) { taken(stream, 1); }));
}

void PeerLink::takeAside(Stream& stream, schema::Aside::Reader aside) {
  if (aside.isCredits()) return taken(stream, aside.getCredits());
  breakStream(refusal(ErrorCode::badRequest, "said something aside that is no credit"));
}

void PeerLink::taken(Stream& stream, uint32_t frames) {
  if (frames > stream.unanswered.size()) {
    return breakStream(refusal(ErrorCode::badRequest, "took more frames than it was sent"));
  }
  for (; frames != 0; --frames) {
    stream.unansweredBytes -= stream.unanswered.front().bytes;
    stream.unanswered.pop_front();
  }
  pumpSoon();
}

void PeerLink::breakStream(const kj::Exception& exception) {
  KJ_IF_MAYBE (stream, stream_) {
    (*stream)->broken->reject(kj::cp(exception));
  }
}

void PeerLink::taskFailed(kj::Exception&& exception) {
  breakStream(exception);
}

// ---- beside the stream -------------------------------------------------------------------------

kj::Exception PeerLink::downNow() const {
  return gone(name_ + ": down (" + (trouble_.empty() ? "retired" : trouble_) + ")");
}

kj::Promise<schema::Peer::Client> PeerLink::forwards() {
  if (!isUp()) return downNow();
  return forwards_.get(*address_);
}

kj::Promise<Handshake> PeerLink::greet() {
  KJ_IF_MAYBE (stream, stream_) {
    PeerChannel& channel = *(*stream)->channel;
    return (*stream)->greetings.wrap(channel.greet(context_).then([this, &channel] {
      theirs_ = channel.theirs;
      return theirs_;
    }));
  }
  return downNow();
}

kj::Promise<void> PeerLink::sendSnapshot(group::PeerMessage head, PeerNetwork::OpenSnapshot open) {
  if (!isUp()) return downNow();
  if (waitingSnapshots_.size() >= context_.config.snapshotsWaitingMax) {
    return refusal(ErrorCode::overloaded, name_ + ": " + std::to_string(waitingSnapshots_.size()) +
                                              " snapshots wait for it; try again later");
  }
  auto end = kj::newPromiseAndFulfiller<void>();
  waitingSnapshots_.push_back(
      kj::heap<WaitingSnapshot>(std::move(head), kj::mv(open), kj::mv(end.fulfiller)));
  startSnapshots();
  return kj::mv(end.promise);
}

void PeerLink::startSnapshots() {
  while (runningSnapshots_ < context_.config.snapshotsMax && !waitingSnapshots_.empty()) {
    kj::Own<WaitingSnapshot> next = kj::mv(waitingSnapshots_.front());
    waitingSnapshots_.pop_front();
    if (!next->end->isWaiting()) continue;  // nobody cares any more
    ++runningSnapshots_;
    tasks_.add(runSnapshot(kj::mv(next)));
  }
  if (runningSnapshots_ == 0) snapshots_.close();
}

kj::Promise<void> PeerLink::runSnapshot(kj::Own<WaitingSnapshot> waiting) {
  WaitingSnapshot& next = *waiting;
  return next.open()
      .then([this, &next](kj::Own<SnapshotSourceFile> file) {
        SnapshotSourceFile& opened = *file;
        return opened.chunks().then(
            [this, &next, file = kj::mv(file)](std::vector<group::ChunkAt> chunks) mutable {
              return sendFile(kj::mv(file), std::move(chunks), std::move(next.head));
            });
      })
      .then([&next] { next.end->fulfill(); },
            [&next](kj::Exception&& exception) { next.end->reject(kj::mv(exception)); })
      .then([this] {
        --runningSnapshots_;
        startSnapshots();
      })
      .attach(kj::mv(waiting));
}

// One of version 1 has no chunks that could be asked for: it goes whole or not at all.
kj::Promise<void> PeerLink::sendFile(kj::Own<SnapshotSourceFile> file,
                                     std::vector<group::ChunkAt> chunks, group::PeerMessage head) {
  auto connect = [this]() -> kj::Promise<schema::Peer::Client> {
    if (!address_) return downNow();
    return snapshots_.get(*address_);
  };
  const PeerNetworkConfig& config = context_.config;
  if (!chunks.empty()) {
    ChunkPace pace{config.snapshotPieceMs, config.retryFirstMs, config.retryMs,
                   config.snapshotBytesPerSecond};
    return sendSnapshotChunks(kj::mv(connect), kj::mv(file), std::move(chunks), std::move(head),
                              context_.timer, pace);
  }
  return connect().then(
      [this, file = kj::mv(file), head = std::move(head)](schema::Peer::Client peer) mutable {
        return sendSnapshotFile(kj::mv(peer), kj::mv(file), std::move(head), context_.timer,
                                context_.config.snapshotPieceMs);
      });
}

PeerStatus PeerLink::status() const {
  PeerStatus status;
  status.host = host_;
  status.address = addressText_;
  status.up = isUp();
  status.trouble = trouble_;
  status.theirs = theirs_;
  status.framesSent = framesSent_;
  status.messagesSent = messagesSent_;
  status.messagesDropped = droppedWhileDown_ + queue_.dropped();
  status.queuedBytes = queue_.bytes();
  return status;
}

}  // namespace flotilla::net

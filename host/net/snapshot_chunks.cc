// A snapshot's way from one host to another, chunk by chunk.
#include "host/net/snapshot_chunks.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "host/base/log.h"
#include "host/group/snapshot_collector.h"
#include "host/net/codec.h"
#include "host/net/peer_channel.h"
#include "host/net/refusal.h"

namespace flotilla::net {
namespace {

constexpr const char* kLate = "a piece of a snapshot was not answered in time";

kj::Exception badSnapshot(const std::string& found) {
  return refusal(ErrorCode::badRequest, "snapshot: " + found);
}

kj::ArrayPtr<const kj::byte> bytesOf(std::string_view view) {
  return {reinterpret_cast<const kj::byte*>(view.data()), view.size()};
}

}  // namespace

// ---- sending ---------------------------------------------------------------------------------

ChunkSender::ChunkSender(Connect connect, kj::Own<SnapshotSourceFile> file,
                         std::vector<group::ChunkAt> chunks, group::PeerMessage head,
                         kj::Timer& timer, ChunkPace pace)
    : connect_(kj::mv(connect)),
      file_(kj::mv(file)),
      chunks_(std::move(chunks)),
      head_(std::move(head)),
      timer_(timer),
      pace_(pace),
      there_(nullptr),
      pauseMs_(pace.retryFirstMs),
      freeAt_(timer.now()) {}

kj::Promise<void> ChunkSender::run() {
  return attempt().catch_([this](kj::Exception&& exception) { return again(kj::mv(exception)); });
}

// A broken way and a damaged chunk are tried again; what the far side refuses is not.
kj::Promise<void> ChunkSender::again(kj::Exception&& exception) {
  unanswered_.clear();
  there_ = nullptr;
  Fault fault = faultOf(exception);
  bool passing = exception.getType() == kj::Exception::Type::DISCONNECTED ||
                 fault.code == ErrorCode::unavailable || fault.code == ErrorCode::overloaded;
  if (!passing || ++tries_ >= kChunksTriesMax) return kj::mv(exception);
  base::logInfo("group id:" + std::to_string(head_.group) + ": snapshot for replica " +
                std::to_string(head_.message.to) + " broke off after chunk " +
                std::to_string(furthest_) + " of " + std::to_string(chunks_.size()) + " (" +
                fault.text + "), going on in " + std::to_string(pauseMs_) + " ms");
  int64_t pauseMs = std::exchange(pauseMs_, std::min(2 * pauseMs_, pace_.retryMs));
  return timer_.afterDelay(pauseMs * kj::MILLISECONDS).then([this] { return run(); });
}

kj::Promise<void> ChunkSender::attempt() {
  return connect_()
      .then([this](schema::Peer::Client peer) { return offer(kj::mv(peer)); })
      .then([this] { return askFrom(0); });
}

kj::Promise<void> ChunkSender::offer(schema::Peer::Client peer) {
  auto request = peer.offerSnapshotRequest();
  encode(head_, request.initHead());
  request.setBytes(file_->bytes());
  request.setChunks(chunks_.size());
  auto offered =
      request.send().then([this](capnp::Response<schema::Peer::OfferSnapshotResults> answer) {
        there_ = answer.getThere();
      });
  return within(timer_, pace_.answerMs, kLate, kj::mv(offered));
}

kj::Promise<void> ChunkSender::askFrom(size_t chunk) {
  if (chunk == chunks_.size()) return finish();
  size_t end = std::min(chunk + group::kChunksAskedMax, chunks_.size());
  std::string heads;
  heads.reserve((end - chunk) * group::kChunkHeadBytes);
  for (size_t i = chunk; i < end; ++i) heads += group::viewOf(chunks_[i].head);
  auto request = there_.askRequest();
  request.setHeads(bytesOf(heads));
  auto asked = request.send().then(
      [this, chunk, end](capnp::Response<schema::SnapshotChunks::AskResults> answer) {
        capnp::Data::Reader wanted = answer.getWanted();
        if (wanted.size() != end - chunk) {
          kj::throwFatalException(badSnapshot("an answer for " + std::to_string(wanted.size()) +
                                              " of " + std::to_string(end - chunk) + " chunks"));
        }
        wanted_.assign(wanted.asChars().begin(), wanted.size());
        askedFrom_ = chunk;
        reached(chunk + std::min(wanted_.find('\1'), wanted_.size()));
      });
  return within(timer_, pace_.answerMs, kLate, kj::mv(asked)).then([this, chunk, end] {
    return giveFrom(chunk, end);
  });
}

// Neighbours that are wanted go together.
kj::Promise<void> ChunkSender::giveFrom(size_t chunk, size_t end) {
  while (chunk < end && wanted_[chunk - askedFrom_] == 0) ++chunk;
  if (chunk == end) return askFrom(end);
  if (unanswered_.size() >= kChunksWindow) {
    return waitForOne().then([this, chunk, end] { return giveFrom(chunk, end); });
  }
  if (timer_.now() < freeAt_) {
    return timer_.atTime(freeAt_).then([this, chunk, end] { return giveFrom(chunk, end); });
  }
  size_t last = chunk;
  uint64_t bytes = chunks_[chunk].head.stored;
  while (last + 1 < end && wanted_[last + 1 - askedFrom_] != 0 && bytes < kChunksGiveBytes) {
    bytes += chunks_[++last].head.stored;
  }
  return give(chunk, last).then([this, last, end] { return giveFrom(last + 1, end); });
}

// One read, which has the heads between the chunks in it.
kj::Promise<void> ChunkSender::give(size_t first, size_t last) {
  uint64_t from = chunks_[first].offset;
  uint64_t size = chunks_[last].offset + chunks_[last].head.stored - from;
  return file_->read(from, size).then([this, first, last, from, size](Bytes piece) {
    if (piece.size() != size) {
      kj::throwFatalException(badSnapshot("the file ends in chunk " + std::to_string(last)));
    }
    uint64_t bytes = size - (last - first) * group::kChunkHeadBytes;
    auto request = there_.giveRequest(capnp::MessageSize{bytes / sizeof(capnp::word) + 8, 0});
    kj::byte* to = request.initStored(static_cast<uint32_t>(bytes)).begin();
    for (size_t i = first; i <= last; ++i) {
      std::string_view stored =
          piece.view().substr(chunks_[i].offset - from, chunks_[i].head.stored);
      std::memcpy(to, stored.data(), stored.size());
      to += stored.size();
    }
    if (pace_.bytesPerSecond != 0) {
      freeAt_ = std::max(freeAt_, timer_.now()) +
                bytes * uint64_t{1'000'000} / pace_.bytesPerSecond * kj::MICROSECONDS;
    }
    unanswered_.push_back(
        request.send().then([this, last](auto&&) { reached(last + 1); }).eagerlyEvaluate(nullptr));
  });
}

void ChunkSender::reached(size_t chunk) {
  if (chunk <= furthest_) return;
  furthest_ = chunk;
  file_->carried(chunk < chunks_.size() ? chunks_[chunk].offset : file_->bytes());
  tries_ = 0;
  pauseMs_ = pace_.retryFirstMs;
}

kj::Promise<void> ChunkSender::waitForOne() {
  kj::Promise<void> oldest = kj::mv(unanswered_.front());
  unanswered_.pop_front();
  return within(timer_, pace_.answerMs, kLate, kj::mv(oldest));
}

kj::Promise<void> ChunkSender::finish() {
  if (!unanswered_.empty()) return waitForOne().then([this] { return finish(); });
  return within(timer_, pace_.answerMs, kLate, there_.doneRequest().send().ignoreResult());
}

kj::Promise<void> sendSnapshotChunks(ChunkSender::Connect connect, kj::Own<SnapshotSourceFile> file,
                                     std::vector<group::ChunkAt> chunks, group::PeerMessage head,
                                     kj::Timer& timer, ChunkPace pace) {
  auto sender = kj::heap<ChunkSender>(kj::mv(connect), kj::mv(file), std::move(chunks),
                                      std::move(head), timer, pace);
  ChunkSender& sending = *sender;
  return sending.run().attach(kj::mv(sender));
}

// ---- receiving -------------------------------------------------------------------------------

ChunkReceiver::ChunkReceiver(kj::Own<SnapshotArrival> arrival, kj::Own<void> keeper)
    : keeper_(kj::mv(keeper)), arrival_(kj::mv(arrival)), tail_(kj::READY_NOW) {}

kj::Promise<void> ChunkReceiver::ask(AskContext context) {
  std::string heads(context.getParams().getHeads().asChars().begin(),
                    context.getParams().getHeads().size());
  context.releaseParams();
  context.allowCancellation();
  return inTurn([this, heads = std::move(heads), context]() mutable -> kj::Promise<void> {
    return arrival_->ask(std::move(heads)).then([context](std::string wanted) mutable {
      context.getResults().setWanted(bytesOf(wanted));
    });
  });
}

kj::Promise<void> ChunkReceiver::give(GiveContext context) {
  capnp::Data::Reader stored = context.getParams().getStored();
  Bytes bytes = Bytes::copyOf({stored.asChars().begin(), stored.size()});
  context.releaseParams();
  context.allowCancellation();
  return inTurn([this, bytes = std::move(bytes)]() mutable -> kj::Promise<void> {
    return arrival_->give(std::move(bytes));
  });
}

kj::Promise<void> ChunkReceiver::done(DoneContext) {
  return inTurn([this]() -> kj::Promise<void> { return arrival_->done(); });
}

kj::Promise<void> ChunkReceiver::inTurn(kj::Function<kj::Promise<void>()> call) {
  if (broken_) return badSnapshot("more after the transfer's end");
  if (waiting_ >= kChunksCallsMax) {
    broken_ = true;
    return refusal(ErrorCode::overloaded, "snapshot: chunks arrive faster than they are written");
  }
  ++waiting_;
  auto ended = tail_
                   .then([this, call = kj::mv(call)]() mutable -> kj::Promise<void> {
                     if (broken_) return badSnapshot("broken off");
                     return call();
                   })
                   .then([this] { --waiting_; },
                         [this](kj::Exception&& exception) {
                           broken_ = true;
                           kj::throwFatalException(kj::mv(exception));
                         })
                   .fork();
  tail_ = ended.addBranch();
  return ended.addBranch();
}

}  // namespace flotilla::net

// A snapshot's way from one host to another, chunk by chunk.
#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <vector>

#include <kj/async.h>
#include <kj/function.h>
#include <kj/timer.h>

#include "host/group/ports.h"
#include "host/net/peer_events.h"
#include "schemas/peer.capnp.h"

namespace flotilla::net {

inline constexpr uint64_t kChunksGiveBytes = 1 << 20;  // a call ends with the chunk that reaches it
inline constexpr size_t kChunksWindow = 4;             // calls sent and not answered
inline constexpr size_t kChunksCallsMax = 8;           // that a receiver holds; more are refused
inline constexpr uint32_t kChunksTriesMax = 6;         // in a row that bring nothing new

struct ChunkPace {
  int64_t answerMs = 30'000;    // a call unanswered for so long: the way is broken
  int64_t retryFirstMs = 100;   // before the next attempt, doubling
  int64_t retryMs = 2000;       // up to this
  uint64_t bytesPerSecond = 0;  // 0: as fast as it goes
};

// Sends one file. Where the way breaks, or a chunk comes over damaged, it begins anew over a fresh
// connection, and the far side says what it has by then: nothing is sent twice. Given up after
// kChunksTriesMax attempts that brought nothing, and at once where the far side refuses.
//
// Owner:  sendSnapshotChunks' promise.
// Thread: its loop's.
// Errors: the promise is rejected by what ended the last attempt.
// Time:   paced to bytesPerSecond.
class ChunkSender {
public:
  using Connect = kj::Function<kj::Promise<schema::Peer::Client>()>;

  ChunkSender(Connect connect, kj::Own<SnapshotSourceFile> file, std::vector<group::ChunkAt> chunks,
              group::PeerMessage head, kj::Timer& timer, ChunkPace pace);
  KJ_DISALLOW_COPY(ChunkSender);

  kj::Promise<void> run();

private:
  kj::Promise<void> attempt();
  kj::Promise<void> offer(schema::Peer::Client peer);
  kj::Promise<void> askFrom(size_t chunk);
  kj::Promise<void> giveFrom(size_t chunk, size_t end);
  kj::Promise<void> give(size_t first, size_t last);
  void reached(size_t chunk);  // those before it are over there
  kj::Promise<void> finish();
  kj::Promise<void> waitForOne();
  kj::Promise<void> again(kj::Exception&& exception);

  Connect connect_;
  kj::Own<SnapshotSourceFile> file_;
  const std::vector<group::ChunkAt> chunks_;
  const group::PeerMessage head_;
  kj::Timer& timer_;
  const ChunkPace pace_;

  schema::SnapshotChunks::Client there_;
  std::deque<kj::Promise<void>> unanswered_;
  size_t askedFrom_ = 0;  // the chunk that wanted_ begins with
  std::string wanted_;
  size_t furthest_ = 0;  // chunks before it are over there
  uint32_t tries_ = 0;   // in a row that brought nothing
  int64_t pauseMs_;
  kj::TimePoint freeAt_;  // when the next bytes may leave
};

// Resolves when the far side has the file whole, synced and handed over.
kj::Promise<void> sendSnapshotChunks(ChunkSender::Connect connect, kj::Own<SnapshotSourceFile> file,
                                     std::vector<group::ChunkAt> chunks, group::PeerMessage head,
                                     kj::Timer& timer, ChunkPace pace);

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wnon-virtual-dtor"  // capnp's servers are destroyed by kj::Own

// The receiving end: one call after the other to the arrival.
//
// Owner:  the sender's capability.
// Thread: its loop's.
// Errors: what the arrival says is passed on, and ends the transfer.
class ChunkReceiver final : public schema::SnapshotChunks::Server {
public:
  // `keeper` is held as long as the transfer.
  ChunkReceiver(kj::Own<SnapshotArrival> arrival, kj::Own<void> keeper);

protected:
  kj::Promise<void> ask(AskContext context) override;
  kj::Promise<void> give(GiveContext context) override;
  kj::Promise<void> done(DoneContext context) override;

private:
  kj::Promise<void> inTurn(kj::Function<kj::Promise<void>()> call);

  kj::Own<void> keeper_;
  kj::Own<SnapshotArrival> arrival_;
  size_t waiting_ = 0;      // calls that have not ended
  bool broken_ = false;     // nothing more is taken
  kj::Promise<void> tail_;  // the last call's end; refers to arrival_
};

#pragma GCC diagnostic pop

}  // namespace flotilla::net

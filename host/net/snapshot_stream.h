// A snapshot file's way from one host to another.
#pragma once

#include <cstdint>
#include <deque>

#include <kj/async.h>
#include <kj/timer.h>

#include "host/group/ports.h"
#include "host/net/peer_events.h"
#include "schemas/peer.capnp.h"

namespace flotilla::net {

inline constexpr uint64_t kSnapshotPieceBytesMax = 1 << 20;
inline constexpr size_t kSnapshotWindow = 4;     // pieces sent and not answered
inline constexpr size_t kSnapshotPiecesMax = 8;  // that a receiver holds; more are refused

// A file is cut into pieces of kSnapshotPieceBytesMax, the last one shorter; its checksum is
// base::checksum of each, continued from the one before. The sender reads the file twice, first for
// the sum: the second time it comes from the page cache.
//
// Owner:  sendSnapshotFile's promise.
// Thread: its loop's.
// Errors: the promise is rejected by the first failing read, call or check, or by a far side that
//         leaves a piece unanswered for pieceMs.
class SnapshotSender {
public:
  SnapshotSender(schema::Peer::Client peer, kj::Own<SnapshotSourceFile> file,
                 group::PeerMessage head, kj::Timer& timer, int64_t pieceMs);
  KJ_DISALLOW_COPY(SnapshotSender);

  kj::Promise<void> run();

private:
  kj::Promise<Bytes> readPiece(uint64_t offset);
  kj::Promise<void> sumUp(uint64_t offset);
  kj::Promise<void> open();
  kj::Promise<void> sendFrom(uint64_t offset);
  kj::Promise<void> finish();

  schema::Peer::Client peer_;
  kj::Own<SnapshotSourceFile> file_;
  group::PeerMessage head_;
  kj::Timer& timer_;
  int64_t pieceMs_;
  uint64_t bytes_;
  uint64_t sum_ = 0;
  schema::SnapshotSink::Client sink_;
  std::deque<kj::Promise<void>> unanswered_;
};

// Resolves when the far side has checked, synced and handed over the file.
kj::Promise<void> sendSnapshotFile(schema::Peer::Client peer, kj::Own<SnapshotSourceFile> file,
                                   group::PeerMessage head, kj::Timer& timer, int64_t pieceMs);

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wnon-virtual-dtor"  // capnp's servers are destroyed by kj::Own

// The receiving end of one transfer: checks that pieces come whole and in order, and in the end the
// checksum. Any fault, or the sender's end, drops the file and so its partial.
//
// Owner:  the sender's capability.
// Thread: its loop's.
// Errors: refused pieces are badRequest; what the file says is passed on.
class SnapshotReceiver final : public schema::SnapshotSink::Server {
public:
  struct Announced {
    uint64_t bytes = 0;
    uint64_t checksum = 0;
  };
  // `keeper` is held as long as the transfer.
  SnapshotReceiver(kj::Own<SnapshotFile> file, Announced announced, kj::Own<void> keeper);

protected:
  kj::Promise<void> write(WriteContext context) override;
  kj::Promise<void> done(DoneContext context) override;

private:
  kj::Promise<void> writeNext(Bytes piece);

  Announced announced_;
  kj::Own<void> keeper_;
  kj::Own<SnapshotFile> file_;
  uint64_t received_ = 0;
  uint64_t sum_ = 0;
  size_t waiting_ = 0;      // pieces that the file has not taken yet
  bool broken_ = false;     // nothing more is taken
  bool finishing_ = false;  // nothing more is taken either
  kj::Promise<void> tail_;  // the last piece's write, or finish; refers to file_
};

#pragma GCC diagnostic pop

}  // namespace flotilla::net

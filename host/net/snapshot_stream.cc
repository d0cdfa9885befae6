// A snapshot file's way from one host to another.
#include "host/net/snapshot_stream.h"

#include <algorithm>
#include <string>
#include <string_view>
#include <utility>

#include "host/base/checksum.h"
#include "host/net/codec.h"
#include "host/net/peer_channel.h"
#include "host/net/refusal.h"

namespace flotilla::net {
namespace {

constexpr const char* kLate = "a piece of a snapshot was not answered in time";

uint64_t pieceBytesAt(uint64_t offset, uint64_t fileBytes) {
  return std::min(kSnapshotPieceBytesMax, fileBytes - offset);
}

kj::Exception badSnapshot(const std::string& found) {
  return refusal(ErrorCode::badRequest, "snapshot: " + found);
}

}  // namespace

// ---- sending ---------------------------------------------------------------------------------

SnapshotSender::SnapshotSender(schema::Peer::Client peer, kj::Own<SnapshotSourceFile> file,
                               group::PeerMessage head, kj::Timer& timer, int64_t pieceMs)
    : peer_(kj::mv(peer)),
      file_(kj::mv(file)),
      head_(std::move(head)),
      timer_(timer),
      pieceMs_(pieceMs),
      bytes_(file_->bytes()),
      sink_(nullptr) {}

kj::Promise<void> SnapshotSender::run() {
  return sumUp(0).then([this] { return open(); }).then([this] { return sendFrom(0); });
}

kj::Promise<Bytes> SnapshotSender::readPiece(uint64_t offset) {
  uint64_t wanted = pieceBytesAt(offset, bytes_);
  return file_->read(offset, wanted).then([this, offset, wanted](Bytes piece) {
    if (piece.size() != wanted) {
      kj::throwFatalException(badSnapshot("the file ends at byte " +
                                          std::to_string(offset + piece.size()) + " of " +
                                          std::to_string(bytes_)));
    }
    return piece;
  });
}

kj::Promise<void> SnapshotSender::sumUp(uint64_t offset) {
  if (offset == bytes_) return kj::READY_NOW;
  return readPiece(offset).then([this, offset](Bytes piece) {
    sum_ = base::checksum(piece.view(), sum_);
    return sumUp(offset + piece.size());
  });
}

kj::Promise<void> SnapshotSender::open() {
  auto request = peer_.openSnapshotRequest();
  encode(head_, request.initHead());
  request.setBytes(bytes_);
  request.setChecksum(sum_);
  auto opened =
      request.send().then([this](capnp::Response<schema::Peer::OpenSnapshotResults> answer) {
        sink_ = answer.getSink();
      });
  return within(timer_, pieceMs_, kLate, kj::mv(opened));
}

kj::Promise<void> SnapshotSender::sendFrom(uint64_t offset) {
  file_->carried(offset);
  if (offset == bytes_) return finish();
  if (unanswered_.size() >= kSnapshotWindow) {
    kj::Promise<void> oldest = kj::mv(unanswered_.front());
    unanswered_.pop_front();
    return within(timer_, pieceMs_, kLate, kj::mv(oldest)).then([this, offset] {
      return sendFrom(offset);
    });
  }
  return readPiece(offset).then([this, offset](Bytes piece) {
    auto request =
        sink_.writeRequest(capnp::MessageSize{piece.size() / sizeof(capnp::word) + 8, 0});
    request.setOffset(offset);
    request.setBytes(kj::arrayPtr(reinterpret_cast<const kj::byte*>(piece.data()), piece.size()));
    unanswered_.push_back(request.send().ignoreResult().eagerlyEvaluate(nullptr));
    return sendFrom(offset + piece.size());
  });
}

kj::Promise<void> SnapshotSender::finish() {
  if (!unanswered_.empty()) {
    kj::Promise<void> oldest = kj::mv(unanswered_.front());
    unanswered_.pop_front();
    return within(timer_, pieceMs_, kLate, kj::mv(oldest)).then([this] { return finish(); });
  }
  return within(timer_, pieceMs_, kLate, sink_.doneRequest().send().ignoreResult());
}

kj::Promise<void> sendSnapshotFile(schema::Peer::Client peer, kj::Own<SnapshotSourceFile> file,
                                   group::PeerMessage head, kj::Timer& timer, int64_t pieceMs) {
  auto sender =
      kj::heap<SnapshotSender>(kj::mv(peer), kj::mv(file), std::move(head), timer, pieceMs);
  SnapshotSender& sending = *sender;
  return sending.run().attach(kj::mv(sender));
}

// ---- receiving -------------------------------------------------------------------------------

SnapshotReceiver::SnapshotReceiver(kj::Own<SnapshotFile> file, Announced announced,
                                   kj::Own<void> keeper)
    : announced_(announced), keeper_(kj::mv(keeper)), file_(kj::mv(file)), tail_(kj::READY_NOW) {}

kj::Promise<void> SnapshotReceiver::write(WriteContext context) {
  if (broken_ || finishing_) return badSnapshot("a piece after the transfer's end");
  capnp::Data::Reader bytes = context.getParams().getBytes();
  uint64_t offset = context.getParams().getOffset();
  std::string_view piece(reinterpret_cast<const char*>(bytes.begin()), bytes.size());
  bool fits = offset == received_ && offset < announced_.bytes &&
              piece.size() == pieceBytesAt(offset, announced_.bytes);
  if (!fits) {
    std::string found = "a piece of " + std::to_string(piece.size()) + " bytes at " +
                        std::to_string(offset) + "; the next one begins at " +
                        std::to_string(received_) + " of " + std::to_string(announced_.bytes);
    broken_ = true;
    return badSnapshot(found);
  }
  if (waiting_ >= kSnapshotPiecesMax) {
    broken_ = true;
    return refusal(ErrorCode::overloaded, "snapshot: pieces arrive faster than they are written");
  }
  received_ += piece.size();
  sum_ = base::checksum(piece, sum_);
  ++waiting_;
  kj::Promise<void> written = writeNext(Bytes::copyOf(piece));
  context.releaseParams();
  context.allowCancellation();  // a sender that is gone takes its partial with it at once
  return written;
}

// Adds to the end of what is being written, so that the file sees one piece at a time.
kj::Promise<void> SnapshotReceiver::writeNext(Bytes piece) {
  auto written = tail_
                     .then([this, piece = std::move(piece)]() mutable -> kj::Promise<void> {
                       if (broken_) return badSnapshot("broken off");
                       return file_->write(std::move(piece));
                     })
                     .then([this] { --waiting_; },
                           [this](kj::Exception&& exception) {
                             broken_ = true;
                             kj::throwFatalException(kj::mv(exception));
                           })
                     .fork();
  tail_ = written.addBranch();
  return written.addBranch();
}

kj::Promise<void> SnapshotReceiver::done(DoneContext) {
  if (broken_ || finishing_) return badSnapshot("done after the transfer's end");
  if (received_ != announced_.bytes) {
    broken_ = true;
    return badSnapshot("done at byte " + std::to_string(received_) + " of " +
                       std::to_string(announced_.bytes));
  }
  if (sum_ != announced_.checksum) {
    broken_ = true;
    return badSnapshot("its checksum is not the announced one; it is sent again");
  }
  finishing_ = true;
  auto finished = tail_.then([this] { return file_->finish(); }).fork();
  tail_ = finished.addBranch();
  return finished.addBranch();
}

}  // namespace flotilla::net

// Snapshot files between this host's disk and its peers.
#include "host/runtime/snapshot_transfer.h"

#include "host/group/snapshot.h"
#include "host/net/refusal.h"

namespace flotilla::runtime {
namespace {

using SharedReader = std::shared_ptr<store::SnapshotReader>;
using SharedWriter = std::shared_ptr<store::SnapshotWriter>;

class Source final : public net::SnapshotSourceFile {
public:
  Source(IoThread& files, SharedReader reader) : files_(files), reader_(std::move(reader)) {}

  uint64_t bytes() const override { return reader_->file().bytes; }

  kj::Promise<Bytes> read(uint64_t offset, size_t bytesMax) override {
    auto work = [reader = reader_, offset, bytesMax]() -> Result<Bytes> {
      auto room = Bytes::allocate(bytesMax);
      auto got = reader->readAt(offset, room.get(), bytesMax);
      if (!got) return got.fault();
      return Bytes::take(std::move(room), *got);
    };
    return files_.run(std::move(work)).then([](Result<Bytes> piece) -> Bytes {
      if (!piece) kj::throwFatalException(net::refusal(piece.fault()));
      return std::move(*piece);
    });
  }

private:
  IoThread& files_;
  SharedReader reader_;
};

// Reads a finished file once through the group's own checks.
Result<void> verifyWhole(store::SnapshotFiles& snapshots, group::ReplicaKey key,
                         raft::LogPoint point) {
  auto reader = snapshots.read(key, point);
  if (!reader) return reader.fault();
  auto verified = group::verifySnapshot(**reader);
  if (!verified) return verified.fault();
  return {};
}

class Incoming final : public net::SnapshotFile {
public:
  Incoming(IoThread& files, store::SnapshotFiles& snapshots, group::ReplicaKey key,
           raft::LogPoint point, std::function<bool()> wanted, std::function<void()> arrived)
      : files_(files),
        snapshots_(snapshots),
        key_(key),
        point_(point),
        wanted_(std::move(wanted)),
        arrived_(std::move(arrived)),
        writer_(std::make_shared<SharedWriter>()) {}

  kj::Promise<void> write(Bytes piece) override {
    if (!wanted_())
      return net::refusal(ErrorCode::groupRemoved, "snapshot: its replica was removed");
    auto work = [writer = writer_, piece = std::move(piece), &snapshots = snapshots_, key = key_,
                 point = point_]() -> Result<void> {
      if (!*writer) {
        auto begun = snapshots.begin(key, point);
        if (!begun) return begun.fault();
        *writer = std::move(*begun);
      }
      return (*writer)->write(piece.view());
    };
    return files_.run(std::move(work)).then([](Result<void> written) {
      if (!written) kj::throwFatalException(net::refusal(written.fault()));
    });
  }

  kj::Promise<void> finish() override {
    auto work = [writer = writer_, &snapshots = snapshots_, key = key_,
                 point = point_]() -> Result<void> {
      if (!*writer) return Fault{ErrorCode::badRequest, "snapshot: it is empty", ""};
      auto finished = (*writer)->finish();
      writer->reset();
      if (!finished) return finished.fault();
      return verifyWhole(snapshots, key, point);
    };
    return files_.run(std::move(work)).then([arrived = arrived_](Result<void> whole) {
      if (!whole) kj::throwFatalException(net::refusal(whole.fault()));
      arrived();
    });
  }

private:
  IoThread& files_;
  store::SnapshotFiles& snapshots_;
  const group::ReplicaKey key_;
  const raft::LogPoint point_;
  std::function<bool()> wanted_;
  std::function<void()> arrived_;
  std::shared_ptr<SharedWriter> writer_;  // made, used and dropped on the file thread
};

}  // namespace

kj::Promise<kj::Own<net::SnapshotSourceFile>> openSnapshotSource(IoThread& files,
                                                                 store::SnapshotFiles& snapshots,
                                                                 group::ReplicaKey key,
                                                                 raft::LogPoint point) {
  auto work = [&snapshots, key, point]() -> Result<SharedReader> {
    auto reader = snapshots.read(key, point);
    if (!reader) return reader.fault();
    return SharedReader(std::move(*reader));
  };
  return files.run(std::move(work))
      .then([&files](Result<SharedReader> reader) -> kj::Own<net::SnapshotSourceFile> {
        if (!reader) kj::throwFatalException(net::refusal(reader.fault()));
        return kj::heap<Source>(files, std::move(*reader));
      });
}

kj::Own<net::SnapshotFile> receiveSnapshot(IoThread& files, store::SnapshotFiles& snapshots,
                                           group::ReplicaKey key, raft::LogPoint point,
                                           std::function<bool()> wanted,
                                           std::function<void()> arrived) {
  return kj::heap<Incoming>(files, snapshots, key, point, std::move(wanted), std::move(arrived));
}

}  // namespace flotilla::runtime

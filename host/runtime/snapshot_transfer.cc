// Snapshot files between this host's disk and its peers.
#include "host/runtime/snapshot_transfer.h"

#include "host/base/log.h"
#include "host/group/snapshot_collector.h"
#include "host/net/refusal.h"
#include "host/store/chunk_shelf.h"

namespace flotilla::runtime {
namespace {

using SharedReader = std::shared_ptr<store::SnapshotReader>;
using SharedWriter = std::shared_ptr<store::SnapshotWriter>;

class Source final : public net::SnapshotSourceFile {
public:
  Source(IoThread& files, SharedReader reader, std::shared_ptr<SnapshotProgress> progress)
      : files_(files), reader_(std::move(reader)), progress_(std::move(progress)) {
    *progress_ = {0, bytes()};
  }

  void carried(uint64_t bytes) override { progress_->bytes = bytes; }

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

  kj::Promise<std::vector<group::ChunkAt>> chunks() override {
    auto work = [reader = reader_]() {
      return group::listChunks(
          [&](uint64_t offset, char* to, size_t size) { return reader->readAt(offset, to, size); });
    };
    return files_.run(std::move(work)).then([](Result<std::vector<group::ChunkAt>> chunks) {
      if (!chunks) kj::throwFatalException(net::refusal(chunks.fault()));
      return std::move(*chunks);
    });
  }

private:
  IoThread& files_;
  SharedReader reader_;
  std::shared_ptr<SnapshotProgress> progress_;
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
  explicit Incoming(Destination to) : to_(std::move(to)) {}

  kj::Promise<void> write(Bytes piece) override {
    if (!to_.wanted())
      return net::refusal(ErrorCode::groupRemoved, "snapshot: its replica was removed");
    auto work = [writer = writer_, piece = std::move(piece), &snapshots = to_.snapshots,
                 key = to_.key, point = to_.point]() -> Result<void> {
      if (!*writer) {
        auto begun = snapshots.begin(key, point);
        if (!begun) return begun.fault();
        *writer = std::move(*begun);
      }
      return (*writer)->write(piece.view());
    };
    return to_.files.run(std::move(work)).then([](Result<void> written) {
      if (!written) kj::throwFatalException(net::refusal(written.fault()));
    });
  }

  kj::Promise<void> finish() override {
    auto work = [writer = writer_, &snapshots = to_.snapshots, key = to_.key,
                 point = to_.point]() -> Result<void> {
      if (!*writer) return Fault{ErrorCode::badRequest, "snapshot: it is empty", ""};
      auto finished = (*writer)->finish();
      writer->reset();
      if (!finished) return finished.fault();
      return verifyWhole(snapshots, key, point);
    };
    return to_.files.run(std::move(work)).then([arrived = to_.arrived](Result<void> whole) {
      if (!whole) kj::throwFatalException(net::refusal(whole.fault()));
      arrived();
    });
  }

private:
  const Destination to_;
  std::shared_ptr<SharedWriter> writer_ =
      std::make_shared<SharedWriter>();  // made, used and dropped on the file thread
};

// What the file thread has of a snapshot that comes chunk by chunk.
struct Arrival {
  std::unique_ptr<store::SnapshotWriter> writer;
  std::unique_ptr<store::ChunkShelf> shelf;
  std::unique_ptr<group::SnapshotCollector> collector;

  Result<void> begin(store::SnapshotFiles& snapshots, group::ReplicaKey key, raft::LogPoint point) {
    if (collector) return {};
    auto begun = snapshots.arrive(key, point);
    if (!begun) return begun.fault();
    auto donors = snapshots.donors(key, point);
    if (!donors) return donors.fault();
    writer = std::move(*begun);
    shelf = std::make_unique<store::ChunkShelf>(*donors);
    collector = std::make_unique<group::SnapshotCollector>(
        *writer, *shelf, group::SnapshotCollector::Wanted{key.group, point});
    return collector->begin([this](uint64_t offset, char* to, size_t size) {
      return writer->readAt(offset, to, size);
    });
  }

  Result<void> finish(store::SnapshotFiles& snapshots, group::ReplicaKey key) {
    if (!collector) return Fault{ErrorCode::badRequest, "snapshot: it is empty", ""};
    if (auto whole = collector->done(); !whole) return whole;
    if (auto finished = writer->finish(); !finished) return finished.fault();
    return snapshots.removeArrivals(key);
  }
};

class Arriving final : public net::SnapshotArrival {
public:
  explicit Arriving(Destination to) : to_(std::move(to)) {}

  kj::Promise<std::string> ask(std::string heads) override {
    auto work = [arrival = arrival_, heads = std::move(heads), &snapshots = to_.snapshots,
                 key = to_.key, point = to_.point]() -> Result<std::string> {
      if (auto begun = arrival->begin(snapshots, key, point); !begun) return begun.fault();
      return arrival->collector->ask(heads);
    };
    return run<std::string>(std::move(work));
  }

  kj::Promise<void> give(Bytes stored) override {
    auto work = [arrival = arrival_, stored = std::move(stored)]() -> Result<bool> {
      if (!arrival->collector) return Fault{ErrorCode::badRequest, "snapshot: nothing asked", ""};
      if (auto given = arrival->collector->give(stored.view()); !given) return given.fault();
      return true;
    };
    return run<bool>(std::move(work)).ignoreResult();
  }

  kj::Promise<void> done() override {
    auto work = [arrival = arrival_, &snapshots = to_.snapshots,
                 key = to_.key]() -> Result<group::SnapshotCollector::Counts> {
      if (auto finished = arrival->finish(snapshots, key); !finished) return finished.fault();
      return arrival->collector->counts();
    };
    return run<group::SnapshotCollector::Counts>(std::move(work))
        .then([key = to_.key, point = to_.point,
               arrived = to_.arrived](group::SnapshotCollector::Counts counts) {
          base::logInfo("group id:" + std::to_string(key.group) + ": snapshot at " +
                        std::to_string(point.index) + " is here: chunks received=" +
                        std::to_string(counts.received) + " kept=" + std::to_string(counts.kept) +
                        " copied=" + std::to_string(counts.copied));
          arrived();
        });
  }

private:
  // On the file thread, unless the replica was removed, or another has begun to send to it.
  template <typename T, typename Work>
  kj::Promise<T> run(Work work) {
    if (!to_.wanted()) {
      return net::refusal(ErrorCode::groupRemoved,
                          "snapshot: its replica was removed, or is sent another");
    }
    return to_.files.run(std::move(work)).then([](Result<T> done) -> T {
      if (!done) kj::throwFatalException(net::refusal(done.fault()));
      return std::move(*done);
    });
  }

  const Destination to_;
  std::shared_ptr<Arrival> arrival_ =
      std::make_shared<Arrival>();  // used and dropped on the file thread
};

}  // namespace

kj::Promise<kj::Own<net::SnapshotSourceFile>> openSnapshotSource(
    IoThread& files, store::SnapshotFiles& snapshots, group::ReplicaKey key, raft::LogPoint point,
    std::shared_ptr<SnapshotProgress> progress, std::function<void()> damaged) {
  auto work = [&snapshots, key, point]() -> Result<SharedReader> {
    auto reader = snapshots.read(key, point);
    if (!reader) return reader.fault();
    return SharedReader(std::move(*reader));
  };
  return files.run(std::move(work))
      .then([&files, progress = std::move(progress), damaged = std::move(damaged)](
                Result<SharedReader> reader) -> kj::Own<net::SnapshotSourceFile> {
        if (!reader && reader.fault().code == ErrorCode::corrupt) damaged();
        if (!reader) kj::throwFatalException(net::refusal(reader.fault()));
        return kj::heap<Source>(files, std::move(*reader), progress);
      });
}

kj::Own<net::SnapshotFile> receiveSnapshot(Destination to) {
  return kj::heap<Incoming>(std::move(to));
}

kj::Own<net::SnapshotArrival> collectSnapshot(Destination to) {
  return kj::heap<Arriving>(std::move(to));
}

}  // namespace flotilla::runtime

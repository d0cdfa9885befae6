// Snapshots on their way, chunk by chunk.
#include "host/net/snapshot_chunks.h"

#include <doctest/doctest.h>

#include "host/base/prng.h"
#include "host/group/snapshot_collector.h"
#include "host/net/codec.h"
#include "host/net/refusal.h"
#include "tests/net/test_host.h"

namespace flotilla {
namespace {

using test::Loop;
using test::TestHost;
using test::Wires;

struct Sink final : group::SnapshotSink {
  std::string bytes;
  Result<void> write(std::string_view piece) override {
    bytes += piece;
    return {};
  }
};

std::string noise(uint64_t seed, size_t size) {
  base::Prng prng(seed);
  std::string bytes(size, '\0');
  for (char& byte : bytes) byte = static_cast<char>(prng.next());
  return bytes;
}

// A file as snapshotHead(7) announces it.
std::string fileOf(const std::string& machine) {
  Sink sink;
  group::SnapshotWriter writer(sink);
  REQUIRE(writer.begin({7, {100, 2}, {{1, 2, 3}, {}, {}, {}, false}, 0}, Bytes::copyOf("g")).ok());
  REQUIRE(writer.write(machine).ok());
  REQUIRE(writer.finish().ok());
  return sink.bytes;
}

class ChunkedFile final : public net::SnapshotSourceFile {
public:
  ChunkedFile(std::string text, uint64_t& read) : text_(std::move(text)), read_(read) {}

  uint64_t bytes() const override { return text_.size(); }
  kj::Promise<Bytes> read(uint64_t offset, size_t bytesMax) override {
    if (offset > text_.size()) return Bytes();
    std::string piece = text_.substr(offset, bytesMax);
    read_ += piece.size();
    return Bytes::copyOf(piece);
  }
  kj::Promise<std::vector<group::ChunkAt>> chunks() override {
    auto chunks = group::listChunks([this](uint64_t offset, char* to, size_t size) {
      return Result<size_t>(
          offset > text_.size() ? 0 : std::string_view(text_).substr(offset).copy(to, size));
    });
    return *chunks;
  }

private:
  std::string text_;
  uint64_t& read_;
};

struct Pair {
  Loop loop;
  Wires wires;
  TestHost one{loop, wires, 1};
  TestHost two{loop, wires, 2};
  uint64_t read = 0;  // of the file, to be sent

  explicit Pair(uint64_t bytesPerSecond = 0) {
    one.config.snapshotBytesPerSecond = bytesPerSecond;
    one.connect();
    one.network->setPeer(2, two.address());
    loop.pass(50);
    REQUIRE(one.network->isUp(2));
  }
  kj::Promise<void> send(std::string text) {
    return one.network->sendSnapshot(
        2, test::snapshotHead(7),
        [this, text = std::move(text)]() mutable -> kj::Promise<kj::Own<net::SnapshotSourceFile>> {
          kj::Own<net::SnapshotSourceFile> file = kj::heap<ChunkedFile>(std::move(text), read);
          return kj::mv(file);
        });
  }
  // How it ended: "" well.
  std::string endOf(kj::Promise<void> promise, int64_t msMax = 60'000) {
    std::string text = "it has not ended";
    auto watched =
        promise
            .then([&text] { text = ""; },
                  [&text](kj::Exception&& exception) { text = net::faultOf(exception).text; })
            .eagerlyEvaluate(nullptr);
    for (int64_t ms = 0; ms < msMax && text == "it has not ended"; ms += 50) loop.pass(50);
    return text;
  }
};

}  // namespace

TEST_CASE("net/snapshot_chunks: files of any size arrive whole") {
  for (size_t size : {0UL, 1UL, 1'000'000UL, 6'000'123UL}) {
    Pair pair;
    std::string file = fileOf(noise(size, size));
    CHECK(pair.endOf(pair.send(file)) == "");
    CHECK(pair.two.whole == file);
    CHECK(pair.read < file.size());
  }
}

TEST_CASE("net/snapshot_chunks: cut ten times, it goes on where it was") {
  Pair pair;
  std::string file = fileOf(noise(1, 24 << 20));
  uint64_t taken = 0;
  uint64_t cutAt = 2 << 20;
  int cuts = 0;
  pair.two.onGive = [&](std::string& bytes) {
    taken += bytes.size();
    if (taken < cutAt || cuts == 10) return;
    cutAt += 2 << 20;
    ++cuts;
    pair.two.cutAll();
  };
  CHECK(pair.endOf(pair.send(file)) == "");
  CHECK(cuts == 10);
  CHECK(pair.two.whole == file);
  CHECK(pair.two.offers.size() == 11);
  CHECK(pair.read < file.size() * 2);  // what was under way at each cut, four calls of a MiB
  CHECK(taken < file.size());          // nothing is taken twice
}

TEST_CASE("net/snapshot_chunks: a damaged chunk is fetched again") {
  Pair pair;
  std::string file = fileOf(noise(2, 5 << 20));
  int calls = 0;
  pair.two.onGive = [&](std::string& bytes) {
    if (++calls == 2) bytes.back() = static_cast<char>(bytes.back() ^ 1);
  };
  CHECK(pair.endOf(pair.send(file)) == "");
  CHECK(pair.two.whole == file);
  CHECK(pair.two.offers.size() == 2);
}

TEST_CASE("net/snapshot_chunks: a chunk that is always damaged is named in the end") {
  Pair pair;
  int calls = 0;
  pair.two.onGive = [&](std::string& bytes) {
    ++calls;
    bytes.front() = static_cast<char>(bytes.front() ^ 1);
  };
  CHECK(pair.endOf(pair.send(fileOf(noise(3, 1 << 20)))) == "snapshot: chunk 0 fails its checksum");
  CHECK(calls == static_cast<int>(net::kChunksTriesMax));
  CHECK(pair.two.whole.empty());
}

TEST_CASE("net/snapshot_chunks: what the far side has is not sent") {
  Pair pair;
  std::string machine = noise(4, 10 << 20);
  pair.two.donor = fileOf(machine);
  machine[5 << 20] = static_cast<char>(machine[5 << 20] + 1);
  std::string file = fileOf(machine);
  CHECK(pair.endOf(pair.send(file)) == "");
  CHECK(pair.two.whole == file);
  CHECK(pair.read < 1 << 20);
}

TEST_CASE(
    "net/snapshot_chunks: a refusal ends it at once, a host that is gone after some attempts") {
  {
    Pair pair;
    pair.two.refuseSnapshots = "volume log: full";
    CHECK(pair.endOf(pair.send(fileOf("text"))) == "volume log: full");
    CHECK(pair.two.offers.empty());
  }
  Pair pair;
  pair.two.onGive = [&](std::string&) {
    pair.wires.fall(pair.two.address());
    pair.two.cutAll();
  };
  std::string end = pair.endOf(pair.send(fileOf(noise(5, 8 << 20))));
  CHECK(end != "");
  CHECK(end != "it has not ended");
  CHECK_FALSE(pair.two.part.empty());
  pair.two.onGive = nullptr;
  pair.two.listen();
  pair.loop.pass(5000);
  CHECK(pair.endOf(pair.send(fileOf(noise(5, 8 << 20)))) == "");
  CHECK(pair.two.whole == fileOf(noise(5, 8 << 20)));
}

TEST_CASE("net/snapshot_chunks: a receiver that stops answering is given up") {
  Pair pair;
  pair.two.holdSnapshots = true;
  CHECK(pair.endOf(pair.send(fileOf(noise(6, 8 << 20))), 400'000) ==
        "a piece of a snapshot was not answered in time");
}

TEST_CASE("net/snapshot_chunks: no faster than it may") {
  Pair pair(2 << 20);
  std::string file = fileOf(noise(7, 8 << 20));
  auto sending = pair.send(file);
  pair.loop.pass(1000);
  CHECK(pair.two.part.size() > 1 << 20);
  CHECK(pair.two.part.size() < 5 << 20);
  CHECK(pair.endOf(kj::mv(sending)) == "");
  CHECK(pair.two.whole == file);
}

TEST_CASE("net/snapshot_chunks: what breaks the order is refused") {
  Pair pair;
  schema::Peer::Client peer = net::makePeerService(pair.two, pair.loop.timer);
  auto hello = peer.helloRequest();
  net::encode(pair.one.self, hello.initMine());
  hello.send().wait(pair.loop.scope);
  auto offer = peer.offerSnapshotRequest();
  net::encode(test::snapshotHead(7), offer.initHead());
  auto there = offer.send().wait(pair.loop.scope).getThere();
  auto give = there.giveRequest();
  give.setStored(kj::StringPtr("text").asBytes());
  CHECK(pair.endOf(give.send().ignoreResult()) == "snapshot: bytes that nobody asked for");
  CHECK(pair.endOf(there.doneRequest().send().ignoreResult()) ==
        "snapshot: more after the transfer's end");
}

}  // namespace flotilla

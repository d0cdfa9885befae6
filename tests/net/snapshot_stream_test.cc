// Snapshot files on their way.
#include "host/net/snapshot_stream.h"

#include <memory>
#include <string>

#include <doctest/doctest.h>

#include "host/base/prng.h"
#include "host/net/codec.h"
#include "host/net/refusal.h"
#include "tests/net/test_host.h"

namespace flotilla {
namespace {

using test::Loop;
using test::TestHost;
using test::Wires;

std::string someBytes(uint64_t seed, size_t size) {
  base::Prng prng(seed);
  std::string bytes(size, '\0');
  for (char& byte : bytes) byte = static_cast<char>(prng.next());
  return bytes;
}

class TextFile final : public net::SnapshotSourceFile {
public:
  explicit TextFile(std::string text) : text_(std::move(text)), claims_(text_.size()) {}
  int flipAtRead = 0;  // that read, counted from 1, gives another byte than before

  void claim(uint64_t bytes) { claims_ = bytes; }
  uint64_t bytes() const override { return claims_; }
  kj::Promise<Bytes> read(uint64_t offset, size_t bytesMax) override {
    if (offset > text_.size()) return Bytes();
    std::string piece = text_.substr(offset, bytesMax);
    if (++reads_ == flipAtRead) piece[0] = static_cast<char>(piece[0] + 1);
    return Bytes::copyOf(piece);
  }
  kj::Promise<std::vector<group::ChunkAt>> chunks() override {
    return std::vector<group::ChunkAt>();  // as one of version 1
  }

private:
  std::string text_;
  uint64_t claims_;
  int reads_ = 0;
};

struct Pair {
  Loop loop;
  Wires wires;
  TestHost one{loop, wires, 1};
  TestHost two{loop, wires, 2};

  Pair() {
    one.network->setPeer(2, two.address());
    loop.pass(50);
    REQUIRE(one.network->isUp(2));
  }
  kj::Promise<void> send(kj::Own<net::SnapshotSourceFile> file) {
    return one.network->sendSnapshot(
        2, test::snapshotHead(7),
        [file = kj::mv(file)]() mutable -> kj::Promise<kj::Own<net::SnapshotSourceFile>> {
          return kj::mv(file);
        });
  }
  std::string failureOf(kj::Promise<void> promise) {
    std::string text = "it did not fail";
    promise.then([] {}, [&text](kj::Exception&& exception) { text = net::faultOf(exception).text; })
        .wait(loop.scope);
    return text;
  }
};

}  // namespace

TEST_CASE("net/snapshot_stream: files of any size arrive whole") {
  for (size_t size : {0UL, 1UL, 1UL << 20, (1UL << 20) + 1, 6'000'123UL}) {
    Pair pair;
    std::string text = someBytes(size, size);
    pair.send(kj::heap<TextFile>(text)).wait(pair.loop.scope);
    REQUIRE(pair.two.snapshots.size() == 1);
    CHECK(pair.two.snapshots[0]->finished);
    CHECK(pair.two.snapshots[0]->bytes == text);
  }
}

TEST_CASE("net/snapshot_stream: a cut drops the partial, tells the sender, and spares the link") {
  Pair pair;
  pair.two.holdSnapshots = true;
  auto sending = pair.send(kj::heap<TextFile>(someBytes(1, 5 << 20)));
  CHECK_FALSE(sending.poll(pair.loop.scope));
  REQUIRE(pair.two.snapshots.size() == 1);
  CHECK_FALSE(pair.two.snapshots[0]->bytes.empty());
  pair.two.cutAll();
  CHECK(pair.failureOf(kj::mv(sending)) == "connection closed");
  CHECK(pair.two.snapshots[0]->ended);
  CHECK_FALSE(pair.two.snapshots[0]->finished);
  pair.two.holdSnapshots = false;
  pair.loop.pass(300);
  std::string text = someBytes(2, 3 << 20);
  pair.send(kj::heap<TextFile>(text)).wait(pair.loop.scope);
  CHECK(pair.two.snapshots.at(1)->bytes == text);
}

TEST_CASE("net/snapshot_stream: bytes that change on the way are found by the checksum") {
  Pair pair;
  auto file = kj::heap<TextFile>(someBytes(1, 2 << 20));
  file->flipAtRead = 4;  // two reads for the sum, then two to send
  CHECK(pair.failureOf(pair.send(kj::mv(file))) ==
        "snapshot: its checksum is not the announced one; it is sent again");
  pair.loop.settle();
  CHECK(pair.two.snapshots.at(0)->ended);
  CHECK_FALSE(pair.two.snapshots.at(0)->finished);
}

TEST_CASE("net/snapshot_stream: a file shorter than it says is not sent") {
  Pair pair;
  auto file = kj::heap<TextFile>("short");
  file->claim(10);
  CHECK(pair.failureOf(pair.send(kj::mv(file))) == "snapshot: the file ends at byte 5 of 10");
  CHECK(pair.two.snapshots.empty());
}

TEST_CASE("net/snapshot_stream: the receiver's refusal reaches the sender") {
  Pair pair;
  pair.two.refuseSnapshots = "volume log: full";
  CHECK(pair.failureOf(pair.send(kj::heap<TextFile>("text"))) == "volume log: full");
}

TEST_CASE("net/snapshot_stream: no more than two go to one host at a time, the rest in turn") {
  Pair pair;
  pair.two.holdSnapshots = true;
  std::vector<kj::Promise<void>> sending;
  for (int i = 0; i < 5; ++i) sending.push_back(pair.send(kj::heap<TextFile>("text")));
  pair.loop.settle();
  CHECK(pair.two.snapshots.size() == 2);
  pair.two.holdSnapshots = false;
  pair.loop.pass(31'000);  // the two held ones are given up
  REQUIRE(pair.two.snapshots.size() == 5);
  CHECK(pair.failureOf(kj::mv(sending[0])) == "a piece of a snapshot was not answered in time");
  for (size_t i = 2; i < 5; ++i) {
    sending[i].wait(pair.loop.scope);
    CHECK(pair.two.snapshots[i]->finished);
  }
}

TEST_CASE("net/snapshot_stream: a receiver that stops answering is given up") {
  Pair pair;
  pair.two.holdSnapshots = true;
  auto sending = pair.send(kj::heap<TextFile>(someBytes(1, 5 << 20)));
  pair.loop.pass(29'000);
  CHECK_FALSE(sending.poll(pair.loop.scope));
  pair.loop.pass(1500);
  CHECK(pair.failureOf(kj::mv(sending)) == "a piece of a snapshot was not answered in time");
}

TEST_CASE("net/snapshot_stream: pieces out of place are refused, and end the transfer") {
  Pair pair;
  schema::Peer::Client peer = net::makePeerService(pair.two, pair.loop.timer);
  auto hello = peer.helloRequest();
  net::encode(pair.one.self, hello.initMine());
  hello.send().wait(pair.loop.scope);
  auto open = peer.openSnapshotRequest();
  net::encode(test::snapshotHead(7), open.initHead());
  open.setBytes(10);
  auto sink = open.send().wait(pair.loop.scope).getSink();
  auto write = [&](uint64_t offset, const char* text) {
    auto request = sink.writeRequest();
    request.setOffset(offset);
    request.setBytes(kj::StringPtr(text).asBytes());
    return pair.failureOf(request.send().ignoreResult());
  };
  CHECK(write(5, "01234") == "snapshot: a piece of 5 bytes at 5; the next one begins at 0 of 10");
  CHECK(write(0, "0123456789") == "snapshot: a piece after the transfer's end");
  CHECK(pair.failureOf(sink.doneRequest().send().ignoreResult()) ==
        "snapshot: done after the transfer's end");
  CHECK_FALSE(pair.two.snapshots.at(0)->finished);
}

TEST_CASE("net/snapshot_stream: a sender cannot hold more transfers open than allowed") {
  Pair pair;
  schema::Peer::Client peer = net::makePeerService(pair.two, pair.loop.timer);
  auto hello = peer.helloRequest();
  net::encode(pair.one.self, hello.initMine());
  hello.send().wait(pair.loop.scope);
  std::vector<schema::SnapshotSink::Client> sinks;
  auto open = [&] {
    auto request = peer.openSnapshotRequest();
    net::encode(test::snapshotHead(7), request.initHead());
    return request.send();
  };
  for (uint32_t i = 0; i < net::kSnapshotsInMax; ++i) {
    sinks.push_back(open().wait(pair.loop.scope).getSink());
  }
  CHECK(pair.failureOf(open().ignoreResult()) ==
        "snapshot: 8 transfers are under way; try again later");
  sinks.clear();
  pair.loop.settle();
  CHECK(pair.failureOf(open().ignoreResult()) == "it did not fail");
}

}  // namespace flotilla

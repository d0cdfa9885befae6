// The stream that every connection is wrapped in.
#include "host/net/gathering_stream.h"

#include <string>
#include <vector>

#include <capnp/rpc-twoparty.h>
#include <capnp/serialize.h>
#include <doctest/doctest.h>
#include <kj/async-io.h>

#include "host/base/prng.h"
#include "host/net/connection.h"
#include "host/net/refusal.h"
#include "sdk/client/message_pipe.h"
#include "tests/net/test_host.h"

#pragma GCC diagnostic ignored "-Wnon-virtual-dtor"

namespace flotilla {
namespace {

using net::GatheringStream;

// A wire that counts, that can be told to stand still, and to fail.
class Counted final : public kj::AsyncIoStream {
public:
  explicit Counted(kj::Own<kj::AsyncIoStream> inner) : inner_(kj::mv(inner)) {}
  int writes = 0;
  int reads = 0;
  kj::Maybe<kj::Exception> failing;

  kj::Promise<size_t> tryRead(void* buffer, size_t minBytes, size_t maxBytes) override {
    ++reads;
    return inner_->tryRead(buffer, minBytes, maxBytes);
  }
  kj::Promise<void> write(const void* buffer, size_t size) override {
    ++writes;
    KJ_IF_MAYBE (exception, failing) {
      return kj::cp(*exception);
    }
    return inner_->write(buffer, size);
  }
  kj::Promise<void> write(kj::ArrayPtr<const kj::ArrayPtr<const kj::byte>> pieces) override {
    ++writes;
    return inner_->write(pieces);
  }
  kj::Promise<void> whenWriteDisconnected() override { return inner_->whenWriteDisconnected(); }
  void shutdownWrite() override { inner_->shutdownWrite(); }
  void abortRead() override { inner_->abortRead(); }

private:
  kj::Own<kj::AsyncIoStream> inner_;
};

struct Ends {
  test::Loop loop;
  kj::TwoWayPipe pipe = kj::newTwoWayPipe();
  kj::Own<Counted> counted = kj::heap<Counted>(kj::mv(pipe.ends[0]));
  Counted& below = *counted;
  kj::Own<GatheringStream> near = kj::heap<GatheringStream>(kj::mv(counted));
  kj::Own<kj::AsyncIoStream> far = kj::mv(pipe.ends[1]);

  void write(const std::string& text) { near->write(text.data(), text.size()).wait(loop.scope); }
};

std::string failureOf(test::Loop& loop, kj::Promise<void> promise) {
  std::string text = "it did not fail";
  promise.then([] {}, [&text](kj::Exception&& exception) { text = net::faultOf(exception).text; })
      .wait(loop.scope);
  return text;
}

std::string someBytes(base::Prng& prng, size_t size) {
  std::string bytes(size, '\0');
  for (char& byte : bytes) byte = static_cast<char>(prng.next());
  return bytes;
}

// Writes `bytes` in pieces of chance sizes, one or several at a time.
kj::Promise<void> writeAll(base::Prng& prng, kj::AsyncIoStream& to, std::string_view bytes) {
  if (bytes.empty()) {
    to.shutdownWrite();
    return kj::READY_NOW;
  }
  size_t most = prng.chance(50) ? 200'000 : 3000;
  size_t size = std::min<size_t>(bytes.size(), 1 + prng.below(most));
  auto from = kj::arrayPtr(reinterpret_cast<const kj::byte*>(bytes.data()), size);
  kj::Promise<void> written = nullptr;
  if (prng.chance(500)) {
    written = to.write(from.begin(), from.size());
  } else {
    auto pieces = kj::heapArray<kj::ArrayPtr<const kj::byte>>(2);
    pieces[0] = from.slice(0, size / 2);
    pieces[1] = from.slice(size / 2, size);
    written = to.write(pieces).attach(kj::mv(pieces));
  }
  return written.then([&prng, &to, rest = bytes.substr(size)] { return writeAll(prng, to, rest); });
}

kj::Promise<void> readAll(base::Prng& prng, kj::AsyncIoStream& from, std::string& into) {
  size_t most = prng.chance(50) ? 200'000 : 3000;
  size_t maxBytes = 1 + prng.below(most);
  size_t minBytes = 1 + prng.below(maxBytes);
  auto buffer = kj::heapArray<char>(maxBytes);
  char* to = buffer.begin();
  return from.tryRead(to, minBytes, maxBytes)
      .then([&prng, &from, &into, to, minBytes](size_t got) -> kj::Promise<void> {
        into.append(to, got);
        if (got < minBytes) return kj::READY_NOW;
        return readAll(prng, from, into);
      })
      .attach(kj::mv(buffer));
}

}  // namespace

TEST_CASE("net/gathering_stream: bytes arrive exactly, however they are split") {
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    test::Loop loop;
    base::Prng prng(seed);
    kj::TwoWayPipe pipe = kj::newTwoWayPipe();
    auto near = net::gathering(kj::mv(pipe.ends[0]));
    auto far = net::gathering(kj::mv(pipe.ends[1]));
    std::string there = someBytes(prng, 1 + prng.below(1'000'000));
    std::string back = someBytes(prng, 1 + prng.below(100'000));
    std::string gotThere;
    std::string gotBack;
    auto all = kj::heapArrayBuilder<kj::Promise<void>>(4);
    all.add(writeAll(prng, *near, there));
    all.add(writeAll(prng, *far, back));
    all.add(readAll(prng, *far, gotThere));
    all.add(readAll(prng, *near, gotBack));
    kj::joinPromises(all.finish()).wait(loop.scope);
    CHECK(gotThere == there);
    CHECK(gotBack == back);
  }
}

TEST_CASE("net/gathering_stream: streams share rooms, never bytes") {
  Ends one;
  kj::TwoWayPipe pipe = kj::newTwoWayPipe();
  GatheringStream two(kj::mv(pipe.ends[0]));
  base::Prng prng(7);
  for (int round = 0; round < 200; ++round) {
    std::string first = someBytes(prng, 1 + prng.below(100'000));
    std::string second = someBytes(prng, 1 + prng.below(2'000));
    std::string more(prng.below(2), 'm');
    one.write(first);
    two.write(second.data(), second.size()).wait(one.loop.scope);
    one.write(more);
    first += more;
    std::string there(first.size(), ' ');
    one.far->read(there.data(), there.size()).wait(one.loop.scope);
    REQUIRE((there == first));
    there.resize(second.size());
    pipe.ends[1]->read(there.data(), there.size()).wait(one.loop.scope);
    REQUIRE((there == second));
  }
}

TEST_CASE("net/gathering_stream: what is written in one turn leaves in one write") {
  Ends ends;
  char buffer[16];
  auto reading = ends.far->read(buffer, 8, 16);
  ends.write("abc");
  ends.write("def");
  ends.write("gh");
  CHECK(ends.below.writes == 0);
  CHECK(reading.wait(ends.loop.scope) == 8);
  CHECK(std::string(buffer, 8) == "abcdefgh");
  CHECK(ends.below.writes == 1);
}

TEST_CASE(
    "net/gathering_stream: a reader that stands still holds up the writer, in bounded memory") {
  Ends ends;
  std::string piece(100'000, 'x');
  size_t taken = 0;
  bool held = false;
  kj::Promise<void> last = kj::READY_NOW;
  while (!held && taken < 100) {
    last = ends.near->write(piece.data(), piece.size());
    held = !last.poll(ends.loop.scope);
    ++taken;
    CHECK(ends.near->unsentBytes() <= net::kUnsentBytesMax + piece.size());
  }
  CHECK(held);
  CHECK(taken * piece.size() > net::kUnsentBytesMax);
  std::string all(taken * piece.size(), '\0');
  ends.far->read(all.data(), all.size()).wait(ends.loop.scope);
  last.wait(ends.loop.scope);
  ends.loop.settle();
  CHECK(ends.near->unsentBytes() == 0);
}

TEST_CASE("net/gathering_stream: shutdownWrite sends what waits, then ends") {
  Ends ends;
  ends.write("last words");
  ends.near->shutdownWrite();
  auto text = ends.far->readAllText().wait(ends.loop.scope);
  CHECK(text == "last words");
  CHECK(failureOf(ends.loop, ends.near->write("x", 1)) == "stream: written to after shutdownWrite");
}

TEST_CASE("net/gathering_stream: a failed write fails the next ones and ends reading") {
  Ends ends;
  char byte = 0;
  auto reading = ends.near->tryRead(&byte, 1, 1);
  ends.below.failing = net::gone("the wire is cut");
  ends.write("answered before it fails");
  bool ended = false;  // a socket ends, a pipe says that it was aborted
  reading.then([&](size_t got) { ended = got == 0; }, [&](kj::Exception&&) { ended = true; })
      .wait(ends.loop.scope);
  CHECK(ended);
  CHECK(failureOf(ends.loop, ends.near->write("x", 1)) == "the wire is cut");
  CHECK(failureOf(ends.loop, ends.near->write("x", 1)) == "the wire is cut");
  CHECK(ends.near->unsentBytes() == 0);
  CHECK(ends.near->whenWriteDisconnected().poll(ends.loop.scope));
}

TEST_CASE("net/gathering_stream: one that may not read waits until enough has been sent") {
  Ends ends;
  size_t unread = 3;
  ends.near->readWhile([&unread] { return unread < 2; });
  char byte = 0;
  auto read = ends.near->tryRead(&byte, 1, 1);
  ends.far->write("x", 1).detach([](kj::Exception&&) {});
  CHECK_FALSE(read.poll(ends.loop.scope));
  char there = 0;
  auto send = [&] {
    ends.write("y");
    CHECK(ends.far->tryRead(&there, 1, 1).wait(ends.loop.scope) == 1);
  };
  send();
  CHECK_FALSE(read.poll(ends.loop.scope));
  unread = 2;
  send();
  CHECK_FALSE(read.poll(ends.loop.scope));
  unread = 1;
  send();
  REQUIRE(read.poll(ends.loop.scope));
  CHECK(read.wait(ends.loop.scope) == 1);
  CHECK(byte == 'x');
}

TEST_CASE("net/gathering_stream: one that may not read learns that the wire is cut") {
  Ends ends;
  ends.near->readWhile([] { return false; });
  char byte = 0;
  auto read = ends.near->tryRead(&byte, 1, 1);
  CHECK_FALSE(read.poll(ends.loop.scope));
  ends.below.failing = net::gone("the wire is cut");
  ends.write("answered before it fails");
  bool ended = false;
  read.then([&](size_t got) { ended = got == 0; }, [&](kj::Exception&&) { ended = true; })
      .wait(ends.loop.scope);
  CHECK(ended);
}

TEST_CASE("net/gathering_stream: a writer that waits for room learns of the failure") {
  Ends ends;
  ends.below.failing = net::gone("the wire is cut");
  std::string much(net::kUnsentBytesMax + 1, 'x');
  CHECK(failureOf(ends.loop, ends.near->write(much.data(), much.size())) == "the wire is cut");
}

TEST_CASE("net/gathering_stream: every writer that waits for room hears of it, or of the failure") {
  for (bool fails : {false, true}) {
    CAPTURE(fails);
    Ends ends;
    std::string much(net::kUnsentBytesMax + 1, 'x');
    if (fails) ends.below.failing = net::gone("the wire is cut");
    auto first = ends.near->write(much.data(), much.size());
    auto second = ends.near->write("y", 1);
    if (fails) {
      CHECK(failureOf(ends.loop, kj::mv(first)) == "the wire is cut");
      CHECK(failureOf(ends.loop, kj::mv(second)) == "the wire is cut");
      continue;
    }
    CHECK_FALSE(first.poll(ends.loop.scope));
    CHECK_FALSE(second.poll(ends.loop.scope));
    std::string there(much.size() + 1, ' ');
    ends.far->read(there.data(), there.size()).wait(ends.loop.scope);
    CHECK(there.back() == 'y');
    CHECK(first.poll(ends.loop.scope));
    CHECK(second.poll(ends.loop.scope));
  }
}

TEST_CASE("net/gathering_stream: what is written after shutdownWrite is not kept") {
  Ends ends;
  ends.near->shutdownWrite();
  CHECK(failureOf(ends.loop, ends.near->write("late", 4)) ==
        "stream: written to after shutdownWrite");
  CHECK(ends.near->unsentBytes() == 0);
}

TEST_CASE("net/message_pipe: messages that have been read wait, too, while one may not read") {
  Ends ends;
  size_t unread = 0;
  ends.near->readWhile([&unread] { return unread < 2; });
  client::MessagePipe pipe(*ends.near);
  capnp::MallocMessageBuilder message;
  message.initRoot<capnp::rpc::Message>().initFinish().setQuestionId(7);
  auto words = capnp::messageToFlatArray(message);
  std::string both;
  for (int i = 0; i < 2; ++i) {
    both.append(reinterpret_cast<const char*>(words.asBytes().begin()), words.asBytes().size());
  }
  auto writing = ends.far->write(both.data(), both.size());
  CHECK(pipe.tryReadMessage(nullptr, {}, nullptr).wait(ends.loop.scope) != nullptr);
  writing.wait(ends.loop.scope);
  unread = 3;
  auto next = pipe.tryReadMessage(nullptr, {}, nullptr);
  CHECK_FALSE(next.poll(ends.loop.scope));
  char there = 0;
  ends.write("y");
  CHECK(ends.far->tryRead(&there, 1, 1).wait(ends.loop.scope) == 1);
  CHECK_FALSE(next.poll(ends.loop.scope));
  unread = 1;
  ends.write("y");
  CHECK(ends.far->tryRead(&there, 1, 1).wait(ends.loop.scope) == 1);
  REQUIRE(next.poll(ends.loop.scope));
  CHECK(next.wait(ends.loop.scope) != nullptr);
}

TEST_CASE("net/message_pipe: a stream that is full has no room for asides") {
  Ends ends;
  client::MessagePipe pipe(*ends.near);
  CHECK(pipe.hasRoom());
  std::string much(net::kUnsentBytesMax + 1, 'x');
  auto writing = ends.near->write(much.data(), much.size());
  CHECK_FALSE(pipe.hasRoom());
  std::string there(much.size(), ' ');
  ends.far->read(there.data(), there.size()).wait(ends.loop.scope);
  writing.wait(ends.loop.scope);
  CHECK(pipe.hasRoom());
}

TEST_CASE(
    "net/gathering_stream: the far end's death is seen by reads and by whenWriteDisconnected") {
  Ends ends;
  auto dead = ends.near->whenWriteDisconnected();
  CHECK_FALSE(dead.poll(ends.loop.scope));
  ends.far = nullptr;
  char byte = 0;
  CHECK(ends.near->tryRead(&byte, 1, 1).wait(ends.loop.scope) == 0);
  CHECK(dead.poll(ends.loop.scope));
}

}  // namespace flotilla

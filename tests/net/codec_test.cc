// Raft messages on the wire, sound ones and hostile ones.
#include "host/net/codec.h"

#include <string>
#include <vector>

#include <capnp/message.h>
#include <capnp/serialize.h>
#include <doctest/doctest.h>

#include "host/base/prng.h"
#include "host/net/connection.h"
#include "tests/net/test_host.h"

namespace flotilla {
namespace {

using base::Prng;

raft::Configuration someConfiguration(Prng& prng) {
  raft::Configuration configuration;
  for (uint64_t id = 1; id <= 1 + prng.below(5); ++id) configuration.voters.push_back(id);
  if (prng.chance(300)) configuration.outgoing = {1, 7, 9};
  if (prng.chance(300)) configuration.learners = {4, 1ULL << 60};
  if (prng.chance(300)) configuration.learnersNext = {9};
  configuration.autoLeave = prng.chance(500);
  return configuration;
}

group::PeerMessage someMessage(Prng& prng) {
  group::PeerMessage message;
  message.group = prng.next();
  message.incarnation = prng.next();
  raft::Message& m = message.message;
  m.kind = static_cast<raft::MessageKind>(prng.below(13));
  m.from = 1 + prng.below(1000);
  m.to = 1 + prng.below(1000);
  m.term = 10 + prng.below(1000);
  m.after = {prng.below(1000), prng.below(10)};
  m.last = {prng.next(), prng.next()};
  m.hint = {prng.next(), prng.next()};
  m.commit = prng.next();
  m.index = prng.next();
  m.context = prng.next();
  m.granted = prng.chance(500);
  m.force = prng.chance(500);
  if (m.kind == raft::MessageKind::append) {
    raft::Index last = m.after.index;
    raft::Term term = std::max<raft::Term>(m.after.term, 1);
    for (uint64_t run = 0; run < prng.below(4); ++run) {
      uint64_t count = 1 + prng.below(5);
      for (uint64_t i = 0; i < count; ++i) {
        message.entries.push_back({++last, term, Bytes::copyOf(std::string(prng.below(50), 'e'))});
      }
      m.runs.push_back({last, term++});
    }
    if (!m.runs.empty()) m.configurations.push_back({last, someConfiguration(prng)});
  }
  if (m.kind == raft::MessageKind::snapshot) {
    m.configurations.push_back({prng.below(m.after.index + 1), someConfiguration(prng)});
  }
  return message;
}

bool same(const group::PeerMessage& a, const group::PeerMessage& b) {
  if (a.group != b.group || a.incarnation != b.incarnation || a.message != b.message) return false;
  if (a.entries.size() != b.entries.size()) return false;
  for (size_t i = 0; i < a.entries.size(); ++i) {
    if (a.entries[i].index != b.entries[i].index || a.entries[i].term != b.entries[i].term ||
        a.entries[i].payload.view() != b.entries[i].payload.view()) {
      return false;
    }
  }
  return true;
}

// As a peer that writes whatever it likes would send it.
struct Wire {
  capnp::MallocMessageBuilder builder;
  schema::Message::Builder message = builder.initRoot<schema::Message>();

  explicit Wire(const group::PeerMessage& from) { net::encode(from, message); }
  std::string refused() const {
    auto decoded = net::decode(message.asReader());
    return decoded ? "it was taken" : decoded.fault().text;
  }
};

kj::Array<capnp::word> someFrame(Prng& prng, size_t count) {
  capnp::MallocMessageBuilder builder;
  auto list = builder.initRoot<schema::Frame>().initMessages(static_cast<uint32_t>(count));
  for (uint32_t i = 0; i < list.size(); ++i) net::encode(someMessage(prng), list[i]);
  return capnp::messageToFlatArray(builder);
}

// Decodes what may be anything; answers how many bytes of entries came out.
size_t entryBytesIn(kj::ArrayPtr<const capnp::word> words) {
  size_t bytes = 0;
  (void)kj::runCatchingExceptions([&] {
    capnp::FlatArrayMessageReader reader(words, net::messageLimits());
    net::DecodedFrame frame = net::decode(reader.getRoot<schema::Frame>());
    for (const group::PeerMessage& message : frame.messages) {
      for (const group::LogEntry& entry : message.entries) bytes += entry.payload.size();
    }
  });
  return bytes;
}

}  // namespace

TEST_CASE("net/codec: every kind of message survives the wire") {
  Prng prng(1);
  for (int i = 0; i < 2000; ++i) {
    group::PeerMessage message = someMessage(prng);
    Wire wire(message);
    auto decoded = net::decode(wire.message.asReader());
    REQUIRE_MESSAGE(decoded, wire.refused());
    CHECK(same(message, *decoded));
  }
}

TEST_CASE("net/codec: encodedBytes is not less than what a message takes") {
  Prng prng(2);
  for (int i = 0; i < 500; ++i) {
    group::PeerMessage message = someMessage(prng);
    Wire wire(message);
    CHECK(wire.message.totalSize().wordCount * 8 <= net::encodedBytes(message));
    CHECK(net::encodedBytes(message) <= wire.message.totalSize().wordCount * 8 + 512);
  }
}

TEST_CASE("net/codec: the entries of a message share one buffer, at words' edges") {
  Wire wire(test::append(7, 10, {"abc", "", "defghijkl"}));
  auto decoded = net::decode(wire.message.asReader());
  REQUIRE(decoded);
  const auto& entries = decoded->entries;
  REQUIRE(entries.size() == 3);
  CHECK(entries[1].payload.data() == entries[0].payload.data() + 8);
  CHECK(entries[2].payload.data() == entries[1].payload.data());
  CHECK(reinterpret_cast<uintptr_t>(entries[0].payload.data()) % 8 == 0);
}

TEST_CASE("net/codec: a message that is unsound in itself is refused") {
  group::PeerMessage good = test::append(7, 10, {"a", "b", "c"});
  Wire kind(good);
  kind.message.setKind(static_cast<uint8_t>(raft::kLastMessageKind) + 1);
  CHECK(kind.refused() == "peer message: of a kind that this host does not know");
  Wire nobody(good);
  nobody.message.setTo(0);
  CHECK(nobody.refused() == "peer message: from or to nobody");
  Wire fewer(good);
  fewer.message.initEntries(2);
  CHECK(fewer.refused() == "peer message: not the entries that its runs name");
  Wire falling(good);
  auto runs = falling.message.initRuns(2);
  runs[0].setLast(12);
  runs[0].setTerm(3);
  runs[1].setLast(13);
  runs[1].setTerm(2);
  CHECK(falling.refused() == "peer message: terms fall");
  runs[1].setLast(12);
  CHECK(falling.refused() == "peer message: runs do not rise");
  Wire later(good);
  later.message.setTerm(2);
  CHECK(later.refused() == "peer message: entries of a later term than the message");
  Wire huge(good);
  huge.message.getRuns()[0].setLast(UINT64_MAX);
  CHECK(huge.refused() == "peer message: too many entries");
}

TEST_CASE("net/codec: configurations stand where they belong, sorted") {
  group::PeerMessage good = test::append(7, 10, {"a", "b", "c"});
  good.message.configurations = {{12, {{1, 2}, {}, {}, {}, false}}};
  Wire wire(good);
  CHECK(net::decode(wire.message.asReader()));
  wire.message.getConfigurations()[0].setIndex(14);
  CHECK(wire.refused() == "peer message: a configuration stands out of place");
  wire.message.getConfigurations()[0].setIndex(10);
  CHECK(wire.refused() == "peer message: a configuration stands out of place");
  wire.message.getConfigurations()[0].setIndex(12);
  wire.message.getConfigurations()[0].getConfiguration().getVoters().set(0, 2);
  CHECK(wire.refused() ==
        "peer message: a configuration's list is too long, unsorted or names nobody");
  wire.message.getConfigurations()[0].getConfiguration().initVoters(65);
  CHECK(wire.refused() ==
        "peer message: a configuration's list is too long, unsorted or names nobody");
}

TEST_CASE("net/codec: one bad message in a frame costs that message alone") {
  capnp::MallocMessageBuilder builder;
  auto list = builder.initRoot<schema::Frame>().initMessages(3);
  for (uint32_t i = 0; i < 3; ++i) net::encode(test::heartbeat(i, i), list[i]);
  list[1].setKind(200);
  net::DecodedFrame frame = net::decode(builder.getRoot<schema::Frame>().asReader());
  CHECK(frame.dropped == 1);
  REQUIRE(frame.messages.size() == 2);
  CHECK(frame.messages[1].group == 2);
}

TEST_CASE("net/codec: no bytes crash it, nor give more than they hold") {
  Prng prng(3);
  for (int i = 0; i < 3000; ++i) {
    auto words = kj::heapArray<capnp::word>(1 + prng.below(64));
    for (auto& byte : words.asBytes()) byte = static_cast<kj::byte>(prng.next());
    if (prng.chance(700)) {  // a plausible table of segments, so that the rest is looked at
      uint32_t table[2] = {0, static_cast<uint32_t>(words.size() - 1)};
      std::memcpy(words.begin(), table, sizeof(table));
    }
    CHECK(entryBytesIn(words) <= net::kMessageBytesMax);
  }
}

TEST_CASE("net/codec: no changed bit of a sound frame crashes it") {
  Prng prng(4);
  for (int i = 0; i < 300; ++i) {
    kj::Array<capnp::word> words = someFrame(prng, 1 + prng.below(6));
    for (int change = 0; change < 20; ++change) {
      auto bytes = words.asBytes();
      uint64_t at = 8 + prng.below(bytes.size() - 8);
      bytes[at] = static_cast<kj::byte>(bytes[at] ^ (1U << prng.below(8)));
      CHECK(entryBytesIn(words) <= net::kMessageBytesMax);
    }
  }
}

}  // namespace flotilla

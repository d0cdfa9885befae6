// Entries as bytes: what is written is read, and hostile bytes are faults.
#include "host/group/entry.h"

#include <cstring>

#include <doctest/doctest.h>

#include "host/base/prng.h"

namespace flotilla::group {
namespace {

Call callOf(uint64_t session, std::string_view params) {
  return {{session, session + 1, session + 2}, 0xabc, 7, Bytes::copyOf(params)};
}

}  // namespace

TEST_CASE("group/entry: commands are read as they were written, in place") {
  std::vector<Call> calls = {callOf(0, ""), callOf(5, "12345678"), callOf(9, "0123456789abcdef")};
  Bytes payload = encodeCommands(42, calls);
  CHECK(payload.size() % 8 == 0);
  DecodedEntry entry;
  REQUIRE(decodeEntry(payload.view(), entry).ok());
  CHECK(entry.kind == EntryKind::commands);
  CHECK(entry.timeUs == 42);
  REQUIRE(entry.commands.size() == 3);
  for (size_t i = 0; i < 3; ++i) {
    CHECK(entry.commands[i].stamp == calls[i].stamp);
    CHECK(entry.commands[i].interfaceId == 0xabc);
    CHECK(entry.commands[i].method == 7);
    CHECK(entry.commands[i].params == calls[i].params.view());
  }
  const char* params = entry.commands[1].params.data();
  CHECK(params >= payload.data());
  CHECK(params < payload.data() + payload.size());
  CHECK(reinterpret_cast<uintptr_t>(params) % 8 == 0);
}

TEST_CASE("group/entry: a payload that is not aligned is read from a copy") {
  Bytes payload = encodeCommands(1, std::vector<Call>{callOf(3, "abcdefgh")});
  std::string shifted = "x" + std::string(payload.view());
  DecodedEntry entry;
  REQUIRE(decodeEntry(std::string_view(shifted).substr(1), entry).ok());
  REQUIRE(entry.commands.size() == 1);
  CHECK(entry.commands[0].params == "abcdefgh");
  CHECK(!entry.aligned.empty());
}

TEST_CASE("group/entry: the other kinds are read as they were written") {
  DecodedEntry entry;
  REQUIRE(decodeEntry(encodeNoOp(3).view(), entry).ok());
  CHECK(entry.kind == EntryKind::noOp);
  CHECK(entry.timeUs == 3);
  REQUIRE(decodeEntry(encodeOpenSession(4, 99).view(), entry).ok());
  CHECK(entry.kind == EntryKind::openSession);
  CHECK(entry.salt == 99);
  REQUIRE(decodeEntry(encodeTimers(7).view(), entry).ok());
  CHECK(entry.kind == EntryKind::timers);
  CHECK(entry.timeUs == 7);
  raft::Configuration joint{{1, 2, 3}, {1, 2}, {7}, {2}, true};
  Bytes payload = encodeConfiguration(5, joint);
  REQUIRE(decodeEntry(payload.view(), entry).ok());
  CHECK(entry.kind == EntryKind::configuration);
  CHECK(entry.configuration == joint);
  EntryGlance glance;
  REQUIRE(glanceAtEntry(payload.view(), glance).ok());
  CHECK(glance.isConfiguration);
  CHECK(glance.configuration == joint);
  CHECK(glance.timeUs == 5);
}

TEST_CASE("group/entry: bytes that are no payload are faults") {
  DecodedEntry entry;
  CHECK(!decodeEntry("", entry).ok());
  CHECK(!decodeEntry("seven b", entry).ok());
  Bytes payload = encodeCommands(1, std::vector<Call>{callOf(3, "abcdefgh")});
  for (size_t size = 8; size < payload.size(); size += 8) {
    CHECK(!decodeEntry(payload.view().substr(0, size), entry).ok());
  }
}

TEST_CASE("group/entry: a kind of a later version is a fault that names it, and is stored") {
  std::string later(encodeNoOp(1).view());
  uint16_t kind = 77;
  std::memcpy(later.data() + 16, &kind, sizeof kind);  // root pointer, timeUs, the union's tag
  Bytes payload = Bytes::copyOf(later);
  DecodedEntry entry;
  auto decoded = decodeEntry(payload.view(), entry);
  REQUIRE(!decoded.ok());
  CHECK(decoded.fault().code == ErrorCode::corrupt);
  CHECK(decoded.fault().text ==
        "entry: kind 77 is not known to this build; run the version that wrote it");
  EntryGlance glance;
  CHECK(glanceAtEntry(payload.view(), glance).ok());
}

TEST_CASE("group/entry: no flipped bytes crash it") {
  base::Prng prng(1);
  raft::Configuration members{{1, 2, 3}, {4}, {5}, {6}, false};
  std::vector<Bytes> seeds = {
      encodeCommands(1, std::vector<Call>{callOf(3, "abcdefgh"), callOf(0, "x"), callOf(1, "")}),
      encodeConfiguration(2, members), encodeOpenSession(3, 4)};
  DecodedEntry entry;
  EntryGlance glance;
  size_t refused = 0;
  for (int i = 0; i < 20'000; ++i) {
    std::string bytes(seeds[prng.below(seeds.size())].view());
    for (uint64_t flips = 1 + prng.below(4); flips > 0; --flips) {
      bytes[prng.below(bytes.size())] = static_cast<char>(prng.next());
    }
    Bytes payload = Bytes::copyOf(bytes);
    bool ok = decodeEntry(payload.view(), entry).ok();
    if (!ok) ++refused;
    for (const CommandView& it : entry.commands) {
      if (!ok || it.params.empty()) continue;
      CHECK(it.params.data() >= payload.data());
      CHECK(it.params.data() + it.params.size() <= payload.data() + payload.size());
    }
    (void)glanceAtEntry(payload.view(), glance).ok();
  }
  CHECK(refused > 1000);
}

}  // namespace flotilla::group

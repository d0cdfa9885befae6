// An entry's bytes: what stands in them, read in place.
#include "host/group/entry.h"

#include <algorithm>
#include <cstring>
#include <string>

#include <capnp/message.h>
#include <capnp/serialize.h>
#include <kj/exception.h>

#include "host/base/assert.h"
#include "host/group/configuration_words.h"
#include "schemas/log.capnp.h"

namespace flotilla::group {
namespace {

using capnp::word;
using WordEntry = schema::Entry;

constexpr uint64_t kWordBytes = sizeof(word);
constexpr int kNestingMax = 8;
constexpr size_t kSha256Chars = 64;

template <typename Struct>
constexpr uint64_t wordsOf() {
  return uint64_t{capnp::_::structSize<Struct>().data} + capnp::_::structSize<Struct>().pointers;
}

uint64_t wordsFor(uint64_t bytes) {
  return (bytes + kWordBytes - 1) / kWordBytes;
}

// One segment of exactly as many words as were asked for, which `fill` writes.
template <typename Fill>
Bytes build(uint64_t words, int64_t timeUs, Fill fill) {
  words += 1 + wordsOf<WordEntry>();
  std::shared_ptr<char[]> buffer = Bytes::allocate(words * kWordBytes);
  std::memset(buffer.get(), 0, words * kWordBytes);
  capnp::FlatMessageBuilder builder(kj::arrayPtr(reinterpret_cast<word*>(buffer.get()), words));
  WordEntry::Builder entry = builder.initRoot<WordEntry>();
  entry.setTimeUs(timeUs);
  fill(entry);
  uint64_t bytes = builder.getSegmentsForOutput()[0].asBytes().size();
  ASSERT(bytes <= words * kWordBytes);
  return Bytes::take(std::move(buffer), bytes);
}

Fault unreadable(std::string text) {
  return {ErrorCode::corrupt, "entry: " + text, {}};
}

// The payload as words, copied into `aligned` where it does not lie on a word's boundary.
Result<kj::ArrayPtr<const word>> asWords(std::string_view payload, std::vector<uint64_t>& aligned) {
  if (payload.empty() || payload.size() % kWordBytes != 0 || payload.size() > kPayloadBytesMax) {
    return unreadable(std::to_string(payload.size()) + " bytes are no payload");
  }
  const char* bytes = payload.data();
  if (reinterpret_cast<uintptr_t>(bytes) % kWordBytes != 0) {
    aligned.resize(payload.size() / kWordBytes);
    std::memcpy(aligned.data(), payload.data(), payload.size());
    bytes = reinterpret_cast<const char*>(aligned.data());
  }
  return kj::arrayPtr(reinterpret_cast<const word*>(bytes), payload.size() / kWordBytes);
}

// What an honest payload needs, and some: a hostile one that points at one place many times ends.
capnp::ReaderOptions optionsFor(uint64_t words) {
  return {.traversalLimitInWords = words * 2 + 64, .nestingLimit = kNestingMax};
}

Result<void> readCommands(WordEntry::Reader entry, std::vector<CommandView>& to) {
  auto commands = entry.getCommands();
  if (commands.size() > kPayloadCommandsMax) {
    return unreadable(std::to_string(commands.size()) + " commands, at most " +
                      std::to_string(kPayloadCommandsMax) + " fit");
  }
  to.reserve(commands.size());
  for (WordEntry::Command::Reader it : commands) {
    capnp::Data::Reader params = it.getParams();
    CommandView& command = to.emplace_back();
    command.stamp.session = it.getSession();
    command.stamp.sequence = it.getSequence();
    command.stamp.acknowledgedBelow = it.getAcknowledgedBelow();
    command.interfaceId = it.getInterfaceId();
    command.method = it.getMethod();
    command.params = {reinterpret_cast<const char*>(params.begin()), params.size()};
  }
  return {};
}

Result<void> readBody(WordEntry::Reader entry, DecodedEntry& to) {
  switch (entry.which()) {
    case WordEntry::NO_OP:
      to.kind = EntryKind::noOp;
      return {};
    case WordEntry::COMMANDS:
      to.kind = EntryKind::commands;
      return readCommands(entry, to.commands);
    case WordEntry::CONFIGURATION:
      to.kind = EntryKind::configuration;
      if (readConfiguration(entry.getConfiguration(), to.configuration)) return {};
      return unreadable("a configuration of too many members");
    case WordEntry::OPEN_SESSION:
      to.kind = EntryKind::openSession;
      to.salt = entry.getOpenSession();
      return {};
    case WordEntry::TIMERS:
      to.kind = EntryKind::timers;
      return {};
    case WordEntry::DIGEST_CHECK:
      to.kind = EntryKind::digestCheck;
      return {};
    case WordEntry::SWITCH_PLUGIN: {
      to.kind = EntryKind::switchPlugin;
      auto sha256 = entry.getSwitchPlugin();
      if (sha256.size() != kSha256Chars) return unreadable("a plugin's hash of another length");
      to.sha256.assign(sha256.begin(), sha256.size());
      return {};
    }
  }
  return unreadable("kind " + std::to_string(static_cast<int>(entry.which())) +
                    " is not known to this build; run the version that wrote it");
}

}  // namespace

Bytes encodeNoOp(int64_t timeUs) {
  return build(0, timeUs, [](WordEntry::Builder entry) { entry.setNoOp(); });
}

Bytes encodeConfiguration(int64_t timeUs, const raft::Configuration& configuration) {
  uint64_t words = wordsOf<schema::Configuration>() + listWordsOf(configuration);
  return build(words, timeUs, [&](WordEntry::Builder entry) {
    writeConfiguration(configuration, entry.initConfiguration());
  });
}

Bytes encodeOpenSession(int64_t timeUs, uint64_t salt) {
  return build(0, timeUs, [&](WordEntry::Builder entry) { entry.setOpenSession(salt); });
}

Bytes encodeTimers(int64_t timeUs) {
  return build(0, timeUs, [](WordEntry::Builder entry) { entry.setTimers(); });
}

Bytes encodeDigestCheck(int64_t timeUs) {
  return build(0, timeUs, [](WordEntry::Builder entry) { entry.setDigestCheck(); });
}

Bytes encodeSwitchPlugin(int64_t timeUs, std::string_view sha256) {
  ASSERT(sha256.size() == kSha256Chars);
  return build(wordsFor(sha256.size() + 1), timeUs, [&](WordEntry::Builder entry) {
    entry.initSwitchPlugin(static_cast<unsigned>(sha256.size()));
    std::copy(sha256.begin(), sha256.end(), entry.getSwitchPlugin().begin());
  });
}

Bytes encodeCommands(int64_t timeUs, std::span<const Call> calls) {
  uint64_t words = 1 + calls.size() * wordsOf<WordEntry::Command>();
  for (const Call& call : calls) words += wordsFor(call.params.size());
  return build(words, timeUs, [&](WordEntry::Builder entry) {
    auto commands = entry.initCommands(static_cast<uint32_t>(calls.size()));
    uint32_t ordinal = 0;
    for (const Call& call : calls) {
      WordEntry::Command::Builder to = commands[ordinal++];
      to.setSession(call.stamp.session);
      to.setSequence(call.stamp.sequence);
      to.setAcknowledgedBelow(call.stamp.acknowledgedBelow);
      to.setInterfaceId(call.interfaceId);
      to.setMethod(call.method);
      if (call.params.empty()) continue;
      to.setParams(
          kj::arrayPtr(reinterpret_cast<const kj::byte*>(call.params.data()), call.params.size()));
    }
  });
}

Result<void> decodeEntry(std::string_view payload, DecodedEntry& to) try {
  to.commands.clear();
  auto words = asWords(payload, to.aligned);
  if (!words) return words.fault();
  kj::ArrayPtr<const word> segments[] = {*words};
  capnp::SegmentArrayMessageReader reader(kj::arrayPtr(segments, 1), optionsFor(words->size()));
  WordEntry::Reader entry = reader.getRoot<WordEntry>();
  to.timeUs = entry.getTimeUs();
  return readBody(entry, to);
} catch (const kj::Exception& exception) {
  return unreadable(exception.getDescription().cStr());
}

Result<void> glanceAtEntry(std::string_view payload, EntryGlance& to) try {
  std::vector<uint64_t> aligned;
  auto words = asWords(payload, aligned);
  if (!words) return words.fault();
  kj::ArrayPtr<const word> segments[] = {*words};
  capnp::SegmentArrayMessageReader reader(kj::arrayPtr(segments, 1), optionsFor(words->size()));
  WordEntry::Reader entry = reader.getRoot<WordEntry>();
  to.timeUs = entry.getTimeUs();
  to.isConfiguration = entry.isConfiguration();
  if (to.isConfiguration && !readConfiguration(entry.getConfiguration(), to.configuration)) {
    return unreadable("a configuration of too many members");
  }
  return {};
} catch (const kj::Exception& exception) {
  return unreadable(exception.getDescription().cStr());
}

}  // namespace flotilla::group

// Raft messages as schemas/peer.capnp spells them, and back.
#include "host/net/codec.h"

#include <algorithm>
#include <cstring>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include <kj/exception.h>

namespace flotilla::net {
namespace {

constexpr uint64_t kWordBytes = 8;
constexpr uint64_t kMessageBytes = 23 * kWordBytes;       // the struct and its three list pointers
constexpr uint64_t kConfigurationBytes = 8 * kWordBytes;  // with its place in the list

constexpr uint64_t wholeWords(uint64_t bytes) {
  return (bytes + kWordBytes - 1) / kWordBytes * kWordBytes;
}

Fault unsound(const char* found) {
  return Fault{ErrorCode::badRequest, std::string("peer message: ") + found, ""};
}

void encodeList(const std::vector<raft::ReplicaId>& from, capnp::List<uint64_t>::Builder to) {
  for (uint32_t i = 0; i < from.size(); ++i) to.set(i, from[i]);
}

// Sorted and without repeats, as raft::Configuration has it.
std::optional<std::vector<raft::ReplicaId>> decodeList(capnp::List<uint64_t>::Reader from) {
  if (from.size() > kConfigurationReplicasMax) return std::nullopt;
  std::vector<raft::ReplicaId> list;
  for (raft::ReplicaId replica : from) list.push_back(replica);
  for (size_t i = 1; i < list.size(); ++i) {
    if (list[i - 1] >= list[i]) return std::nullopt;
  }
  if (!list.empty() && list.front() == 0) return std::nullopt;
  return list;
}

uint32_t countOf(size_t size) {
  return static_cast<uint32_t>(size);
}

void encodeEntries(const std::vector<group::LogEntry>& from, capnp::List<capnp::Data>::Builder to) {
  for (uint32_t i = 0; i < from.size(); ++i) {
    const Bytes& payload = from[i].payload;
    to.set(i,
           capnp::Data::Reader(reinterpret_cast<const kj::byte*>(payload.data()), payload.size()));
  }
}

// The runs after `after`: rising, in terms that do not fall and that the sender can know.
Result<void> decodeRuns(capnp::List<schema::Message::Run>::Reader from, raft::Message& message) {
  if (from.size() > kMessageRunsMax) return unsound("too many runs");
  raft::TermRun previous{message.after.index, std::max<raft::Term>(message.after.term, 1)};
  for (schema::Message::Run::Reader run : from) {
    raft::TermRun next{run.getLast(), run.getTerm()};
    if (next.last <= previous.last) return unsound("runs do not rise");
    if (next.term < previous.term) return unsound("terms fall");
    if (next.term > message.term) return unsound("entries of a later term than the message");
    message.runs.push_back(next);
    previous = next;
  }
  if (previous.last - message.after.index > kMessageEntriesMax) return unsound("too many entries");
  return {};
}

// Those of an append lie among its entries; a snapshot's one at or below its point.
Result<void> decodeConfigurations(capnp::List<schema::ConfigurationAt>::Reader from,
                                  raft::Message& message) {
  if (from.size() > kMessageConfigurationsMax) return unsound("too many configurations");
  bool appends = message.kind == raft::MessageKind::append;
  raft::Index above = appends ? message.after.index : 0;
  raft::Index atMost = appends ? message.lastOfRuns() : message.after.index;
  bool first = true;
  for (schema::ConfigurationAt::Reader at : from) {
    raft::Index index = at.getIndex();
    bool rises = index > above || (first && !appends);
    if (!rises || index > atMost) return unsound("a configuration stands out of place");
    Result<raft::Configuration> configuration = decode(at.getConfiguration());
    if (!configuration) return configuration.fault();
    message.configurations.push_back({index, std::move(*configuration)});
    above = index;
    first = false;
  }
  return {};
}

// Copies the payloads into one buffer, each at a word's edge. A buffer a message and not a frame:
// one kept entry would keep all other groups' bytes with it.
Result<void> decodeEntries(capnp::List<capnp::Data>::Reader from, group::PeerMessage& message) {
  uint64_t named = message.message.lastOfRuns() - message.message.after.index;
  if (from.size() != named) return unsound("not the entries that its runs name");
  uint64_t bytes = 0;
  raft::Index index = message.message.after.index;
  auto run = message.message.runs.begin();
  message.entries.reserve(from.size());
  for (capnp::Data::Reader payload : from) {  // read once: reading twice counts twice
    bytes += wholeWords(payload.size());
    if (bytes > kMessageEntryBytesMax) return unsound("entries over 48 MiB");
    if (++index > run->last) ++run;
    std::string_view there(reinterpret_cast<const char*>(payload.begin()), payload.size());
    message.entries.push_back({index, run->term, Bytes(nullptr, there)});
  }
  std::shared_ptr<char[]> buffer = Bytes::allocate(bytes);
  char* to = buffer.get();
  for (group::LogEntry& entry : message.entries) {
    std::string_view there = entry.payload.view();
    if (!there.empty()) std::memcpy(to, there.data(), there.size());
    entry.payload = Bytes(buffer, std::string_view(to, there.size()));
    to += wholeWords(there.size());
  }
  return {};
}

Result<void> decodeChecked(schema::Message::Reader from, group::PeerMessage& to) {
  if (from.getKind() > static_cast<uint8_t>(raft::kLastMessageKind)) {
    return unsound("of a kind that this host does not know");
  }
  to.group = from.getGroup();
  to.incarnation = from.getIncarnation();
  raft::Message& message = to.message;
  message.kind = static_cast<raft::MessageKind>(from.getKind());
  message.from = from.getFrom();
  message.to = from.getTo();
  message.term = from.getTerm();
  message.after = {from.getAfterIndex(), from.getAfterTerm()};
  message.last = {from.getLastIndex(), from.getLastTerm()};
  message.hint = {from.getHintIndex(), from.getHintTerm()};
  message.commit = from.getCommit();
  message.index = from.getIndex();
  message.context = from.getContext();
  message.granted = from.getGranted();
  message.force = from.getForce();
  if (message.from == 0 || message.to == 0) return unsound("from or to nobody");

  bool appends = message.kind == raft::MessageKind::append;
  if (appends) {
    if (auto runs = decodeRuns(from.getRuns(), message); !runs) return runs;
    if (auto entries = decodeEntries(from.getEntries(), to); !entries) return entries;
  }
  if (appends || message.kind == raft::MessageKind::snapshot) {
    return decodeConfigurations(from.getConfigurations(), message);
  }
  return {};
}

// A reader throws where pointers lead astray or limits are passed.
template <typename T, typename Function>
Result<T> catching(Function decodeIt) {
  std::optional<Result<T>> result;
  KJ_IF_MAYBE (exception, kj::runCatchingExceptions([&] { result.emplace(decodeIt()); })) {
    (void)exception;
    return unsound("its bytes are no Cap'n Proto message");
  }
  return std::move(*result);
}

// `to` is a fresh one; where there is a Fault, what it holds is of no use.
Result<void> decodeInto(schema::Message::Reader from, group::PeerMessage& to) {
  return catching<void>([&] { return decodeChecked(from, to); });
}

}  // namespace

uint64_t encodedBytes(const group::PeerMessage& message) {
  uint64_t bytes = kMessageBytes + 2 * kWordBytes * message.message.runs.size();
  for (const raft::ConfigurationAt& at : message.message.configurations) {
    const raft::Configuration& held = at.configuration;
    size_t replicas =
        held.voters.size() + held.outgoing.size() + held.learners.size() + held.learnersNext.size();
    bytes += kConfigurationBytes + kWordBytes * replicas;
  }
  for (const group::LogEntry& entry : message.entries) {
    bytes += kWordBytes + wholeWords(entry.payload.size());
  }
  return bytes;
}

void encode(const raft::Configuration& configuration, schema::Configuration::Builder to) {
  encodeList(configuration.voters, to.initVoters(countOf(configuration.voters.size())));
  encodeList(configuration.outgoing, to.initOutgoing(countOf(configuration.outgoing.size())));
  encodeList(configuration.learners, to.initLearners(countOf(configuration.learners.size())));
  encodeList(configuration.learnersNext,
             to.initLearnersNext(countOf(configuration.learnersNext.size())));
  to.setAutoLeave(configuration.autoLeave);
}

void encode(const group::PeerMessage& from, schema::Message::Builder to) {
  const raft::Message& message = from.message;
  to.setGroup(from.group);
  to.setIncarnation(from.incarnation);
  to.setKind(static_cast<uint8_t>(message.kind));
  to.setFrom(message.from);
  to.setTo(message.to);
  to.setTerm(message.term);
  to.setAfterIndex(message.after.index);
  to.setAfterTerm(message.after.term);
  to.setLastIndex(message.last.index);
  to.setLastTerm(message.last.term);
  to.setHintIndex(message.hint.index);
  to.setHintTerm(message.hint.term);
  to.setCommit(message.commit);
  to.setIndex(message.index);
  to.setContext(message.context);
  to.setGranted(message.granted);
  to.setForce(message.force);
  if (!message.runs.empty()) {
    auto runs = to.initRuns(countOf(message.runs.size()));
    for (uint32_t i = 0; i < runs.size(); ++i) {
      runs[i].setLast(message.runs[i].last);
      runs[i].setTerm(message.runs[i].term);
    }
  }
  if (!message.configurations.empty()) {
    auto configurations = to.initConfigurations(countOf(message.configurations.size()));
    for (uint32_t i = 0; i < configurations.size(); ++i) {
      configurations[i].setIndex(message.configurations[i].index);
      encode(message.configurations[i].configuration, configurations[i].initConfiguration());
    }
  }
  if (!from.entries.empty()) {
    encodeEntries(from.entries, to.initEntries(countOf(from.entries.size())));
  }
}

Result<raft::Configuration> decode(schema::Configuration::Reader from) {
  return catching<raft::Configuration>([&]() -> Result<raft::Configuration> {
    auto voters = decodeList(from.getVoters());
    auto outgoing = decodeList(from.getOutgoing());
    auto learners = decodeList(from.getLearners());
    auto learnersNext = decodeList(from.getLearnersNext());
    if (!voters || !outgoing || !learners || !learnersNext) {
      return unsound("a configuration's list is too long, unsorted or names nobody");
    }
    return raft::Configuration{std::move(*voters), std::move(*outgoing), std::move(*learners),
                               std::move(*learnersNext), from.getAutoLeave()};
  });
}

Result<group::PeerMessage> decode(schema::Message::Reader from) {
  group::PeerMessage message;
  if (auto decoded = decodeInto(from, message); !decoded) return decoded.fault();
  return message;
}

DecodedFrame decode(schema::Frame::Reader from) {
  DecodedFrame frame;
  kj::Maybe<kj::Exception> broken = kj::runCatchingExceptions([&] {
    auto messages = from.getMessages();
    if (messages.size() > kFrameMessagesMax) {
      frame.dropped = messages.size();
      return;
    }
    frame.messages.reserve(messages.size());
    for (schema::Message::Reader one : messages) {
      if (decodeInto(one, frame.messages.emplace_back())) continue;
      frame.messages.pop_back();
      ++frame.dropped;
    }
  });
  if (broken != nullptr) ++frame.dropped;
  return frame;
}

}  // namespace flotilla::net

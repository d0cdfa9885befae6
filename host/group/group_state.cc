// What the host replicates beside the machine: the applier's, durable at the machine's index.
#include "host/group/group_state.h"

#include <cstring>
#include <string>

#include <capnp/serialize.h>
#include <kj/exception.h>

#include "host/base/checksum.h"
#include "host/group/configuration_words.h"

namespace flotilla::group {
namespace {

Fault unreadable(std::string text) {
  return {ErrorCode::corrupt, "group state: " + text, {}};
}

}  // namespace

Bytes GroupState::encode(Sessions::Form form) const {
  return encodeWith(at, configuration, form);
}

uint64_t GroupState::digest() const {
  // In the form that hosts of any version take.
  return base::checksum(encodeWith({}, {}, Sessions::Form::each).view());
}

Bytes GroupState::encodeWith(const raft::LogPoint& point, const raft::ConfigurationAt& its,
                             Sessions::Form form) const {
  capnp::MallocMessageBuilder builder;
  schema::GroupState::Builder to = builder.initRoot<schema::GroupState>();
  to.setIndex(point.index);
  to.setTerm(point.term);
  to.setTimeUs(timeUs);
  to.initConfiguration().setIndex(its.index);
  writeConfiguration(its.configuration, to.getConfiguration().initConfiguration());
  to.setUnchecked(unchecked);
  to.setAnswers(answers);
  to.setCounted(counted);
  to.setPlugin(plugin);
  to.setSwitchedAt(switchedAt);
  sessions.save(to, form);
  timers.save(to);
  events.save(to);
  kj::Array<capnp::word> words = capnp::messageToFlatArray(builder);
  auto bytes = words.asBytes();
  return Bytes::copyOf({reinterpret_cast<const char*>(bytes.begin()), bytes.size()});
}

Result<void> GroupState::decode(const Bytes& from) try {
  Bytes aligned = from;
  if (from.size() % sizeof(capnp::word) != 0) {
    return unreadable(std::to_string(from.size()) + " bytes are no words");
  }
  if (reinterpret_cast<uintptr_t>(from.data()) % sizeof(capnp::word) != 0) {
    aligned = Bytes::copyOf(from.view());
  }
  kj::ArrayPtr<const capnp::word> words(reinterpret_cast<const capnp::word*>(aligned.data()),
                                        aligned.size() / sizeof(capnp::word));
  capnp::FlatArrayMessageReader reader(
      words, {.traversalLimitInWords = words.size() * 2 + 64, .nestingLimit = 16});
  auto state = reader.getRoot<schema::GroupState>();
  at = {state.getIndex(), state.getTerm()};
  timeUs = state.getTimeUs();
  configuration.index = state.getConfiguration().getIndex();
  if (!readConfiguration(state.getConfiguration().getConfiguration(),
                         configuration.configuration)) {
    return unreadable("a configuration of too many members");
  }
  if (auto loaded = timers.load(state); !loaded) return loaded.fault();
  unchecked = state.getUnchecked();
  answers = state.getAnswers();
  counted = state.getCounted();
  plugin = state.getPlugin().cStr();
  switchedAt = state.getSwitchedAt();
  if (auto loaded = events.load(state); !loaded) return loaded.fault();
  return sessions.load(state);
} catch (const kj::Exception& exception) {
  return unreadable(exception.getDescription().cStr());
}

}  // namespace flotilla::group

// Calls of kv as flat words, and the answers that come back.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <capnp/message.h>

#include "flotilla/bytes.h"
#include "host/group/ports.h"
#include "host/plugin/library.h"
#include "host/plugin/machine.h"
#include "kv.capnp.h"

namespace flotilla::test {

// Answers as they came, by place.
class Heard final : public group::Answers {
public:
  struct One {
    bool ok = false;
    std::string code;
    std::string text;  // the error's, or the result's segment
  };

  void result(size_t place, std::string_view segment) override {
    at(place) = {true, {}, std::string(segment)};
  }
  void error(size_t place, std::string_view code, std::string_view text) override {
    at(place) = {false, std::string(code), std::string(text)};
  }
  bool wakeAt(size_t place, int64_t timeUs, uint64_t token) override {
    if (full) return false;
    timers.push_back({place, timeUs, token});
    return true;
  }

  bool emit(size_t place, std::string_view topic, std::string_view message) override {
    if (full) return false;
    events.push_back(std::to_string(place) + " " + std::string(topic) + " " + std::string(message));
    return true;
  }

  struct Timer {
    size_t place = 0;
    int64_t timeUs = 0;
    uint64_t token = 0;
    bool operator==(const Timer&) const = default;
  };
  std::vector<One> all;
  std::vector<Timer> timers;
  std::vector<std::string> events;  // place, topic, message
  bool full = false;                // no more timers and events are taken

private:
  One& at(size_t place) {
    if (all.size() <= place) all.resize(place + 1);
    return all[place];
  }
};

// Parameters of any method as one segment.
template <typename Params, typename Fill>
Bytes flatParams(Fill&& fill, size_t contentBytes = 256) {
  capnp::MallocMessageBuilder message(static_cast<unsigned>(contentBytes / 8 + 32));
  fill(message.initRoot<Params>());
  auto bytes = message.getSegmentsForOutput()[0].asBytes();
  return Bytes::copyOf({reinterpret_cast<const char*>(bytes.begin()), bytes.size()});
}

// A result's segment, to be read while this lives.
template <typename Results>
class ResultWords {
public:
  explicit ResultWords(const std::string& segment)
      : bytes_(Bytes::copyOf(segment)),
        words_(reinterpret_cast<const capnp::word*>(bytes_.data()), bytes_.size() / 8),
        message_(kj::arrayPtr(&words_, 1)) {}
  ResultWords(const ResultWords&) = delete;
  ResultWords& operator=(const ResultWords&) = delete;

  typename Results::Reader operator*() { return message_.getRoot<Results>(); }

private:
  Bytes bytes_;
  kj::ArrayPtr<const capnp::word> words_;
  capnp::SegmentArrayMessageReader message_;
};

inline Bytes putParams(std::string_view key, std::string_view value) {
  return flatParams<Kv::PutParams>(
      [&](Kv::PutParams::Builder in) {
        in.setKey(std::string(key));
        in.setValue({reinterpret_cast<const kj::byte*>(value.data()), value.size()});
      },
      key.size() + value.size());
}

inline group::MachineCommand commandAt(uint64_t index, uint32_t ordinal, uint16_t method,
                                       const Bytes& params) {
  group::MachineCommand command;
  command.position = {index, ordinal};
  command.term = 1;
  command.interfaceId = capnp::typeId<Kv>();
  command.method = method;
  command.params = params.view();
  return command;
}

}  // namespace flotilla::test

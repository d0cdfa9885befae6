// Calls of the simulated machine.
#include "tests/sim/kv_calls.h"

#include <cstring>
#include <vector>

#include <capnp/message.h>
#include <capnp/serialize.h>

#include "alarms.capnp.h"
#include "kv.capnp.h"

namespace flotilla::sim {
namespace {

std::string valueOf(ValueId value, uint32_t bytesMax) {
  size_t more = bytesMax == 0 ? 0 : (value * 0x9e3779b97f4a7c15ULL >> 32) % bytesMax;
  std::string whole(sizeof value + more, 'v');
  std::memcpy(whole.data(), &value, sizeof value);
  return whole;
}

capnp::Data::Reader dataOf(const std::string& bytes) {
  return {reinterpret_cast<const kj::byte*>(bytes.data()), bytes.size()};
}

ValueId idOf(capnp::Data::Reader bytes) {
  ValueId value = 0;
  if (bytes.size() >= sizeof value) std::memcpy(&value, bytes.begin(), sizeof value);
  return value;
}

template <typename Params, typename Fill>
group::Call callOf(uint64_t interfaceId, uint16_t method, Fill&& fill) {
  capnp::MallocMessageBuilder message(1024);
  fill(message.initRoot<Params>());
  auto segments = message.getSegmentsForOutput();
  group::Call call;
  call.interfaceId = interfaceId;
  call.method = method;
  auto bytes = segments[0].asBytes();
  call.params = Bytes::copyOf({reinterpret_cast<const char*>(bytes.begin()), bytes.size()});
  return call;
}

template <typename Params, typename Fill>
group::Call callOf(KvMethod method, Fill&& fill) {
  return callOf<Params>(capnp::typeId<Kv>(), static_cast<uint16_t>(method), fill);
}

// One segment, copied to where words may lie.
class Segment {
public:
  explicit Segment(std::string_view bytes) : words_(bytes.size() / sizeof(capnp::word)) {
    std::memcpy(words_.data(), bytes.data(), words_.size() * sizeof(capnp::word));
    segment_ = kj::arrayPtr(words_.data(), words_.size());
    reader_.emplace(kj::arrayPtr(&segment_, 1));
  }
  template <typename Root>
  typename Root::Reader root() {
    return reader_->getRoot<Root>();
  }

private:
  std::vector<capnp::word> words_;
  kj::ArrayPtr<const capnp::word> segment_;
  std::optional<capnp::SegmentArrayMessageReader> reader_;
};

}  // namespace

group::Call putCall(const std::string& key, ValueId value, uint32_t bytesMax) {
  std::string bytes = valueOf(value, bytesMax);
  return callOf<Kv::PutParams>(KvMethod::put, [&](Kv::PutParams::Builder in) {
    in.setKey(key);
    in.setValue(dataOf(bytes));
  });
}

group::Call getCall(const std::string& key) {
  return callOf<Kv::GetParams>(KvMethod::get, [&](Kv::GetParams::Builder in) { in.setKey(key); });
}

group::Call compareAndSetCall(const std::string& key, ValueId expected, ValueId value,
                              uint32_t bytesMax) {
  std::string bytes = valueOf(value, bytesMax);
  std::string there = expected == 0 ? "" : valueOf(expected, bytesMax);
  return callOf<Kv::CompareAndSetParams>(KvMethod::compareAndSet,
                                         [&](Kv::CompareAndSetParams::Builder in) {
                                           in.setKey(key);
                                           in.setExpected(dataOf(there));
                                           in.setExpectAbsent(expected == 0);
                                           in.setValue(dataOf(bytes));
                                         });
}

std::optional<KvAnswer> readAnswer(KvMethod method, std::string_view bytes) {
  if (bytes.size() % sizeof(capnp::word) != 0) return std::nullopt;
  Segment segment(bytes);
  KvAnswer answer;
  if (method == KvMethod::put) {
    answer.set = true;
    answer.revision = segment.root<Kv::PutResults>().getRevision();
  } else if (method == KvMethod::get) {
    auto results = segment.root<Kv::GetResults>();
    if (results.getFound()) answer.value = idOf(results.getValue());
  } else {
    auto results = segment.root<Kv::CompareAndSetResults>();
    answer.set = results.getSet();
    answer.revision = results.getRevision();
    if (results.getFound()) answer.value = idOf(results.getCurrent());
  }
  return answer;
}

std::optional<KvCommand> readCommand(const group::MachineCommand& from) {
  bool ours = !from.wakes && from.interfaceId == capnp::typeId<Kv>();
  if (!ours || from.params.size() % sizeof(capnp::word) != 0) return std::nullopt;
  Segment segment(from.params);
  KvCommand command;
  command.method = static_cast<KvMethod>(from.method);
  if (command.method == KvMethod::put) {
    auto in = segment.root<Kv::PutParams>();
    command.key = in.getKey().cStr();
    command.value = idOf(in.getValue());
  } else if (command.method == KvMethod::compareAndSet) {
    auto in = segment.root<Kv::CompareAndSetParams>();
    command.key = in.getKey().cStr();
    command.value = idOf(in.getValue());
  } else {
    return std::nullopt;
  }
  return command;
}

group::Call alarmCall(const AlarmCommand& alarm) {
  return callOf<Alarms::SetParams>(capnp::typeId<Alarms>(), 0, [&](Alarms::SetParams::Builder in) {
    in.setAlarm(alarm.alarm);
    in.setInUs(alarm.inUs);
    in.setAgain(alarm.again);
    in.setFails(static_cast<Fails>(alarm.fails));
  });
}

std::optional<AlarmCommand> readAlarm(const group::MachineCommand& from) {
  bool ours = !from.wakes && from.interfaceId == capnp::typeId<Alarms>() && from.method == 0;
  if (!ours || from.params.size() % sizeof(capnp::word) != 0) return std::nullopt;
  Segment segment(from.params);
  auto in = segment.root<Alarms::SetParams>();
  return AlarmCommand{in.getAlarm(), in.getInUs(), in.getAgain(),
                      static_cast<AlarmCommand::Fails>(in.getFails())};
}

}  // namespace flotilla::sim

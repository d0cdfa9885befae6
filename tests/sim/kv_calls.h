// Calls of the simulated machine, made and read by its clients.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "host/group/ports.h"

namespace flotilla::sim {

// Who put a value: each has a number of its own, which its first eight bytes are. 0: no value.
using ValueId = uint64_t;

struct KvAnswer {
  bool set = false;       // compareAndSet only
  ValueId value = 0;      // get: what is there; a compareAndSet that did not set: what is there
  uint64_t revision = 0;  // of a write
};

enum class KvMethod : uint16_t { put = 0, get = 1, compareAndSet = 4 };

// How many bytes a value has follows from its number and the world's `bytesMax`, so that it can be
// expected whole.
group::Call putCall(const std::string& key, ValueId value, uint32_t bytesMax);
group::Call getCall(const std::string& key);
// `expected` 0: expect that there is no such key.
group::Call compareAndSetCall(const std::string& key, ValueId expected, ValueId value,
                              uint32_t bytesMax);

// Nothing where the segment is no answer of that method.
std::optional<KvAnswer> readAnswer(KvMethod method, std::string_view segment);
// What a command names; nothing where it is none of kv's.
struct KvCommand {
  KvMethod method = KvMethod::put;
  std::string key;
  ValueId value = 0;
};
std::optional<KvCommand> readCommand(const group::MachineCommand& command);

// An alarm to set: tests/plugin/alarms. Each has a name of its own.
struct AlarmCommand {
  enum class Fails : uint8_t { never, setting, ringing };
  uint64_t alarm = 0;
  int64_t inUs = 0;
  uint32_t again = 0;
  Fails fails = Fails::never;
};
group::Call alarmCall(const AlarmCommand& alarm);
std::optional<AlarmCommand> readAlarm(const group::MachineCommand& command);

}  // namespace flotilla::sim

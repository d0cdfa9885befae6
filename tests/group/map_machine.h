// A machine for tests: a map from text to text.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "host/group/ports.h"
#include "tests/support/memory_file.h"

namespace flotilla::test {

constexpr uint64_t kMapInterface = 0xabcd;

// A version of it that begins with this loads no state; kNewcomer's has one more command, 8, which
// is what 0 is.
constexpr char kUnwilling = 'f';
constexpr char kNewcomer = 'b';
constexpr char kSleepless = 'c';  // takes no timers

// Methods: 0 put "key=value" (answers how many commands came before it), 1 get "key" (a query),
// 2 refuse (an author's error), 3 break (a fault), 4 stamp (answers "time seed session"),
// 5 wake "time token" (an author's error where that is refused), 6 the same and then an author's
// error, 7 break (a query), 9 tell "topic message" two events of the topic, 10 the same and then an
// author's error, 11 get "key" (a query that is asked beside), 12 break (such a query). Params may
// have NULs at their end, to fill words.
//
// A timer adds "token@time " to what is kept under "woken". Tokens from 1000 on set another, 1000
// less, a millisecond on; 666 breaks; 777 sets another and then errs.
class MapMachine final : public group::Machine {
public:
  explicit MapMachine(std::string itsVersion = {}) : version(std::move(itsVersion)) {}

  ApplyEnd apply(const group::MachineCommand* commands, size_t count,
                 group::Answers& answers) override;
  Result<void> query(const group::MachineCommand& question, group::Answers& answers) override;
  Result<std::unique_ptr<group::Capture>> capture() override;
  Result<void> load(group::SnapshotSource& source) override;
  std::optional<uint64_t> digest() override;
  bool wakes() const override { return version.empty() || version.front() != kSleepless; }
  std::optional<MethodKind> kindOf(uint64_t interfaceId, uint16_t method) const override;
  bool isLong(uint64_t, uint16_t method) const override { return method == 11 || method == 12; }
  Result<std::shared_ptr<const group::FrozenMachine>> freeze() override;

  std::map<std::string, std::string> values;
  uint64_t commands = 0;  // applied so far; part of the state
  size_t runs = 0;        // calls of apply; not part of it
  size_t freezes = 0;     // nor these
  std::string version;    // a plugin's hash; empty: the group's first
  std::string accent;     // ends every answer; not part of it

private:
  void wake(const group::MachineCommand& timer, size_t place, group::Answers& answers);
  std::string text() const;
};

// A call of MapMachine.
group::Call mapCall(uint16_t method, const std::string& params, group::Stamp stamp = {});
// An outcome's body without the NULs at its end.
std::string textOf(const group::Outcome& outcome);

// A file in memory.
struct MemoryFile final : group::SnapshotSink {
  std::string bytes;
  Result<void> write(std::string_view piece) override {
    bytes += piece;
    return {};
  }
};

}  // namespace flotilla::test

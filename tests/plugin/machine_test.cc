// Machines behind the guard: kv from its shared object, and one that breaks every rule.
#include "host/plugin/machine.h"

#include <future>
#include <map>

#include <doctest/doctest.h>

#include "alarms.capnp.h"
#include "bad.capnp.h"
#include "bad_behaviour.capnp.h"
#include "drudge.capnp.h"
#include "host/base/prng.h"
#include "host/plugin/descriptor.h"
#include "tests/plugin/built.h"
#include "tests/plugin/kv_calls.h"

using namespace flotilla;
using flotilla::test::badFile;
using flotilla::test::commandAt;
using flotilla::test::flatParams;
using flotilla::test::Heard;
using flotilla::test::putParams;
using flotilla::test::ResultWords;

namespace {

constexpr uint16_t kPut = 0;  // methods of Kv
constexpr uint16_t kRemove = 2;

std::unique_ptr<group::Machine> made(const std::string& file,
                                     const plugin::Settings& settings = {}) {
  auto library = plugin::Library::open(file);
  if (!library) FAIL(library.fault().text);
  auto machine = plugin::makeMachine(library->descriptor(), settings, nullptr, {1, 1});
  if (!machine) FAIL(machine.fault().text);
  return std::move(machine).value();
}
std::unique_ptr<group::Machine> kv() {
  return made(test::pluginFile("kv"));
}

class Memory final : public group::SnapshotSink, public group::SnapshotSource {
public:
  Result<void> write(std::string_view piece) override {
    if (full) return Fault{ErrorCode::diskFull, "no room", {}};
    bytes.append(piece);
    return {};
  }
  Result<size_t> read(char* to, size_t size) override {
    size_t part = std::min(size, bytes.size() - next);
    std::memcpy(to, bytes.data() + next, part);
    next += part;
    return part;
  }
  std::string bytes;
  size_t next = 0;
  bool full = false;
};

// One put each, in one run; keys and values as given.
group::Machine::ApplyEnd put(group::Machine& machine, const std::vector<std::string>& keys,
                             Heard& heard, uint64_t index = 1) {
  std::vector<Bytes> params;
  std::vector<group::MachineCommand> run;
  for (const std::string& key : keys) params.push_back(putParams(key, "value of " + key));
  for (size_t i = 0; i < keys.size(); ++i) {
    run.push_back(commandAt(index, static_cast<uint32_t>(i), 0, params[i]));
  }
  return machine.apply(run.data(), run.size(), heard);
}

std::string get(group::Machine& machine, const std::string& key) {
  Bytes params = flatParams<Kv::GetParams>([&](auto in) { in.setKey(key); });
  Heard heard;
  Result<void> done = machine.query(commandAt(7, 0, 1, params), heard);
  if (!done) return done.fault().text;
  if (!heard.all.at(0).ok) return heard.all[0].code;
  ResultWords<Kv::GetResults> result(heard.all[0].text);
  auto value = (*result).getValue();
  return (*result).getFound() ? std::string(value.asChars().begin(), value.size()) : "not found";
}

}  // namespace

TEST_CASE("plugin/machine: kv applies a run of many chunks and answers each command") {
  auto machine = kv();
  std::vector<std::string> keys;
  for (int i = 0; i < 1000; ++i) keys.push_back("key-" + std::to_string(i * 7919 % 1000));
  Heard heard;
  auto end = put(*machine, keys, heard, 42);
  CHECK(end.applied == 1000);
  CHECK_FALSE(end.fault.has_value());
  REQUIRE(heard.all.size() == 1000);
  for (const auto& one : heard.all) REQUIRE(one.ok);
  ResultWords<Kv::PutResults> result(heard.all[999].text);
  CHECK((*result).getRevision() == 42);
  CHECK(get(*machine, "key-999") == "value of key-999");
  CHECK(get(*machine, "key-1000") == "not found");
}

TEST_CASE("plugin/machine: runs that are looked up ahead write to small tables what others do") {
  auto machine = kv();
  base::Prng prng(7);
  std::map<std::string, std::string> model;
  for (uint64_t index = 1; index <= 300; ++index) {
    std::vector<Bytes> params;
    std::vector<group::MachineCommand> run;
    size_t count = 1 + prng.below(80);
    for (size_t i = 0; i < count; ++i) {
      std::string key = prng.chance(20) ? "" : "key " + std::to_string(prng.below(60));
      // Now and then most of it goes, down to nothing.
      bool removes = index % 10 == 0 ? prng.chance(950) : prng.chance(100);
      std::string value = std::to_string(index) + "." + std::to_string(i);
      params.push_back(removes ? flatParams<Kv::RemoveParams>([&](auto in) { in.setKey(key); })
                               : putParams(key, value));
      run.push_back(
          commandAt(index, static_cast<uint32_t>(i), removes ? kRemove : kPut, params.back()));
      if (key.empty()) continue;
      if (removes) {
        model.erase(key);
      } else {
        model[key] = value;
      }
    }
    Heard heard;
    REQUIRE(machine->apply(run.data(), run.size(), heard).applied == count);
    for (int i = 0; i < 60; ++i) {
      std::string key = "key " + std::to_string(i);
      auto at = model.find(key);
      REQUIRE(get(*machine, key) == (at == model.end() ? "not found" : at->second));
    }
  }
}

TEST_CASE("plugin/machine: an author's error is an answer and the run goes on") {
  auto machine = kv();
  Heard heard;
  auto end = put(*machine, {"a", "", "b"}, heard);
  CHECK(end.applied == 3);
  CHECK_FALSE(end.fault.has_value());
  CHECK(heard.all[0].ok);
  CHECK(heard.all[1].code == "emptyKey");
  CHECK(heard.all[1].text == "a key needs at least one byte");
  CHECK(heard.all[2].ok);
}

TEST_CASE("plugin/machine: a value over the limit is the author's error") {
  auto machine = kv();
  Bytes params = putParams("k", std::string((1 << 20) + 1, 'v'));
  auto command = commandAt(1, 0, 0, params);
  Heard heard;
  CHECK(machine->apply(&command, 1, heard).applied == 1);
  CHECK(heard.all[0].code == "valueTooLarge");
  CHECK(heard.all[0].text == "a value has at most 1048576 bytes, this one 1048577");
}

TEST_CASE("plugin/machine: damaged parameters are answered, never a fault") {
  auto machine = kv();
  std::vector<std::string> bad = {
      std::string(8, '\xff'),                              // a capability for a root
      std::string("\x00\x00\x00\x00\xff\xff\x00\x00", 8),  // a struct beyond the end
      std::string("\xfc\xff\xff\xff\x00\x00\x01\x00", 8),  // a pointer to itself
      std::string("\x00\x00\x00\x00\x00\x00\x01\x00\x01\x00\x00\x00\x1a\x00\x00\x00"
                  "aaaaaaaa",
                  24),  // a text without its NUL
  };
  for (const std::string& bytes : bad) {
    Bytes params = Bytes::copyOf(bytes);
    auto command = commandAt(1, 0, 0, params);
    Heard heard;
    auto end = machine->apply(&command, 1, heard);
    CHECK(end.applied == 1);
    CHECK_FALSE(end.fault.has_value());
    REQUIRE(heard.all.size() == 1);
    CHECK_FALSE(heard.all[0].ok);
  }
  Bytes none;
  auto empty = commandAt(1, 0, 0, none);
  Heard heard;
  CHECK(machine->apply(&empty, 1, heard).applied == 1);
  CHECK(heard.all[0].code == "emptyKey");
}

TEST_CASE("plugin/machine: unaligned parameters are read as well") {
  auto machine = kv();
  Bytes params = putParams("aside", "x");
  Bytes room = Bytes::copyOf("1" + std::string(params.view()));
  auto command = commandAt(1, 0, 0, params);
  command.params = room.view().substr(1);
  REQUIRE(reinterpret_cast<uintptr_t>(command.params.data()) % 8 == 1);
  Heard heard;
  CHECK(machine->apply(&command, 1, heard).applied == 1);
  CHECK(get(*machine, "aside") == "x");
}

TEST_CASE("plugin/machine: a command that the machine does not know stops it there") {
  auto machine = kv();
  Bytes params = putParams("a", "b");
  std::vector<group::MachineCommand> run{commandAt(5, 0, 0, params), commandAt(5, 1, 99, params),
                                         commandAt(5, 2, 0, params)};
  Heard heard;
  auto end = machine->apply(run.data(), run.size(), heard);
  CHECK(end.applied == 1);
  REQUIRE(end.fault.has_value());
  CHECK(end.fault->code == ErrorCode::faulted);
  CHECK(end.fault->text.find("machine kv 1.0.0: has no command with method number 99") == 0);
  CHECK(heard.all.size() == 1);
}

TEST_CASE("plugin/machine: kinds come from constness") {
  auto machine = kv();
  using Kind = group::Machine::MethodKind;
  CHECK(machine->kindOf(capnp::typeId<Kv>(), 0) == Kind::command);
  CHECK(machine->kindOf(capnp::typeId<Kv>(), 1) == Kind::query);
  CHECK_FALSE(machine->kindOf(capnp::typeId<Kv>(), 6).has_value());
  CHECK_FALSE(machine->kindOf(1, 0).has_value());
}

TEST_CASE("plugin/machine: a snapshot holds the state of its moment") {
  auto machine = kv();
  Heard heard;
  put(*machine, {"a", "b"}, heard);
  auto digest = machine->digest();
  auto capture = machine->capture();
  REQUIRE(capture.ok());
  put(*machine, {"c"}, heard, 2);
  CHECK(machine->digest() != digest);
  Memory memory;
  REQUIRE((*capture)->save(memory).ok());
  auto twin = kv();
  REQUIRE(twin->load(memory).ok());
  CHECK(twin->digest() == digest);
  CHECK(get(*twin, "a") == "value of a");
  CHECK(get(*twin, "c") == "not found");
}

TEST_CASE("plugin/machine: a damaged snapshot is found, wherever the bit flips") {
  auto machine = kv();
  Heard heard;
  put(*machine, {"alpha", "beta", "gamma"}, heard);
  Memory saved;
  REQUIRE((*machine->capture())->save(saved).ok());
  for (size_t at = 0; at < saved.bytes.size(); ++at) {
    Memory damaged;
    damaged.bytes = saved.bytes;
    damaged.bytes[at] = static_cast<char>(damaged.bytes[at] ^ 1);
    CHECK_FALSE(kv()->load(damaged).ok());
    Memory cut;
    cut.bytes = saved.bytes.substr(0, at);
    CHECK_FALSE(kv()->load(cut).ok());
  }
}

TEST_CASE("plugin/machine: a sink without room ends the save with the sink's own fault") {
  auto machine = kv();
  Memory full;
  full.full = true;
  Result<void> saved = (*machine->capture())->save(full);
  REQUIRE_FALSE(saved.ok());
  CHECK(saved.fault().code == ErrorCode::diskFull);
}

TEST_CASE("plugin/machine: settings that a plugin does not know are refused") {
  auto library = plugin::Library::open(test::pluginFile("kv"));
  REQUIRE(library.ok());
  auto machine = plugin::makeMachine(library->descriptor(), {{"sped", "9"}}, nullptr, {1, 1});
  REQUIRE_FALSE(machine.ok());
  CHECK(machine.fault().text ==
        "machine kv 1.0.0: cannot be made: badConfig: config sped: no such key; this plugin knows "
        "none");
}

TEST_CASE("plugin/machine: a foreign exception is a fault, changes nothing, and can be retried") {
  auto machine = made(badFile("bad_behaviour"));
  auto digest = machine->digest();
  Bytes none = flatParams<BadBehaviour::ThrowForeignParams>([](auto) {});
  group::MachineCommand command = commandAt(9, 3, 2, none);
  command.interfaceId = capnp::typeId<BadBehaviour>();
  for (int attempt = 0; attempt < 2; ++attempt) {
    Heard heard;
    auto end = machine->apply(&command, 1, heard);
    CHECK(end.applied == 0);
    REQUIRE(end.fault.has_value());
    CHECK(end.fault->text == "machine bad_behaviour 1.0.0: foreign exception on purpose");
    CHECK(machine->digest() == digest);
  }
  Bytes params = flatParams<BadBehaviour::PutParams>([](auto in) { in.setKey("k"); });
  command = commandAt(10, 0, 0, params);
  command.interfaceId = capnp::typeId<BadBehaviour>();
  Heard heard;
  CHECK(machine->apply(&command, 1, heard).applied == 1);
}

TEST_CASE("plugin/machine: whatever breaks the boundary stops the machine with a reason") {
  struct Case {
    std::string key;
    std::string text;
  };
  for (const Case& one : {
           Case{"throw",
                "threw across the boundary: through the wall; catch all in the plugin, and say it "
                "as a fault"},
           Case{"throw int",
                "threw across the boundary something that is no std::exception; catch all in the "
                "plugin, and say it as a fault"},
           Case{"skip",
                "says it answered 2 commands and answered 1; apply returns how many were answered"},
           Case{"silent", "stopped without saying why; say a fault before"},
           Case{"twice",
                "answered place 1 of a run of 2 where place 2 was next; places are answered in "
                "order, each once"},
           Case{"far",
                "answered place 99 of a run of 2 where place 1 was next; places are answered in "
                "order, each once"},
           Case{"short", "gave a result of 7 bytes; a segment is whole words, at least one"},
           Case{"timer",
                "set a timer, which commands do of machines that say FLOTILLA_TIMERS, and nothing "
                "else does"},
           Case{"far timer",
                "set a timer for place 99 of a run of 2 where place 1 was next; places are "
                "answered in order, each once"},
           Case{"far event",
                "emitted an event for place 99 of a run of 2 where place 1 was next; places are "
                "answered in order, each once"},
           Case{"long event", "refused"},
           Case{"fault", "on purpose"},
       }) {
    CAPTURE(one.key);
    auto machine = made(badFile("bad_boundary"));
    std::vector<Bytes> params;
    std::vector<group::MachineCommand> run;
    for (const std::string& key : {std::string("fine"), one.key}) {
      params.push_back(flatParams<Plain::PutParams>([&](auto in) { in.setKey(key); }));
    }
    for (uint32_t i = 0; i < 2; ++i) {
      run.push_back(commandAt(1, i, 0, params[i]));
      run.back().interfaceId = capnp::typeId<Plain>();
    }
    Heard heard;
    auto end = machine->apply(run.data(), run.size(), heard);
    REQUIRE(end.fault.has_value());
    CHECK(end.fault->text == "machine bad_boundary 1.0.0: " + one.text);
    CHECK(heard.all.size() == end.applied);
  }
}

namespace {

group::MachineCommand alarmAt(uint64_t index, const Bytes& params) {
  group::MachineCommand command = commandAt(index, 0, 0, params);
  command.interfaceId = capnp::typeId<Alarms>();
  command.timeUs = 1000;
  return command;
}
group::MachineCommand wakeAt(uint64_t index, uint64_t token) {
  group::MachineCommand command;
  command.position = {index, 0};
  command.timeUs = 3000;
  command.wakes = true;
  command.token = token;
  return command;
}

}  // namespace

TEST_CASE("plugin/machine: timers cross the boundary with their place, and come back as commands") {
  auto machine = made(badFile("alarms"));
  Bytes put[] = {flatParams<Alarms::SetParams>([](auto in) { in.setAlarm(7), in.setInUs(500); }),
                 flatParams<Alarms::SetParams>([](auto in) { in.setAlarm(8), in.setInUs(-1); }),
                 flatParams<Alarms::SetParams>([](auto in) { in.setAlarm(9), in.setInUs(100); })};
  std::vector<group::MachineCommand> run;
  for (const Bytes& params : put) run.push_back(alarmAt(run.size() + 1, params));
  Heard heard;
  CHECK(machine->apply(run.data(), run.size(), heard).applied == 3);
  CHECK(heard.timers == std::vector<Heard::Timer>{{0, 1500, 7}, {2, 1100, 9}});
  CHECK(heard.all[1].code == "badTime");
  REQUIRE(heard.events.size() == 2);
  CHECK(heard.events[0] == "0 alarms/set " + std::string("\7\0\0\0\0\0\0\0", 8));
  CHECK(heard.events[1] == "2 alarms/set " + std::string("\11\0\0\0\0\0\0\0", 8));

  std::vector<group::MachineCommand> timers{wakeAt(4, 9), wakeAt(4, 7), wakeAt(4, 7)};
  Heard woken;
  CHECK(machine->apply(timers.data(), timers.size(), woken).applied == 3);
  REQUIRE(woken.all.size() == 3);
  for (const auto& one : woken.all) CHECK(one.ok);
  Bytes none = flatParams<Alarms::TallyParams>([](auto) {});
  group::MachineCommand question = alarmAt(5, none);
  question.method = 2;
  Heard tally;
  REQUIRE(machine->query(question, tally).ok());
  ResultWords<Alarms::TallyResults> result(tally.all.at(0).text);
  CHECK((*result).getRung() == 2);
  CHECK((*result).getTwice() == 1);  // as the machine tells it
  CHECK((*result).getEarly() == 0);
  CHECK((*result).getPending() == 0);
}

TEST_CASE("plugin/machine: where no more timers are taken the author's command errs") {
  auto machine = made(badFile("alarms"));
  Bytes params = flatParams<Alarms::SetParams>([](auto in) { in.setAlarm(7); });
  group::MachineCommand command = alarmAt(1, params);
  Heard heard;
  heard.full = true;
  auto digest = machine->digest();
  CHECK(machine->apply(&command, 1, heard).applied == 1);
  CHECK(heard.all[0].code == "tooManyTimers");
  CHECK(machine->digest() == digest);
}

TEST_CASE("plugin/machine: a timer of a machine that has no wake stops it there") {
  auto machine = kv();
  group::MachineCommand timer = wakeAt(4, 9);
  Heard heard;
  auto end = machine->apply(&timer, 1, heard);
  CHECK(end.applied == 0);
  REQUIRE(end.fault.has_value());
  CHECK(end.fault->text ==
        "machine kv 1.0.0: has a timer pending and no wake to be called; another version of it "
        "set the timer");
}

TEST_CASE("plugin/descriptor: what clients are told is what the plugin says") {
  auto library = plugin::Library::open(test::pluginFile("kv"));
  REQUIRE(library.ok());
  capnp::MallocMessageBuilder message;
  auto out = message.initRoot<schema::PluginDescription>();
  plugin::describe(*library->descriptor(), "abc", out);
  CHECK(std::string(out.getName().cStr()) == "kv");
  CHECK(out.getMethods().size() == 6);
  CHECK(std::string(out.getMethods()[4].getName().cStr()) == "compareAndSet");
  CHECK(out.getMethods()[1].getKind() == schema::MethodKind::QUERY);
  CHECK(out.getSchema().size() > 100);
}

TEST_CASE(
    "plugin/machine: one that is frozen is asked beside later commands, from several threads") {
  auto machine = made(test::badFile("drudge"));
  uint64_t index = 0;
  auto put = [&](uint64_t key, uint64_t value) {
    Bytes params = flatParams<Drudge::PutParams>([&](auto in) {
      in.setKey(key);
      in.setValue(value);
    });
    auto command = commandAt(++index, 0, 0, params);
    command.interfaceId = capnp::typeId<Drudge>();
    Heard heard;
    REQUIRE(machine->apply(&command, 1, heard).applied == 1);
  };
  for (uint64_t key = 0; key < 1000; ++key) put(key, 1);
  CHECK(machine->isLong(capnp::typeId<Drudge>(), 2));
  CHECK_FALSE(machine->isLong(capnp::typeId<Drudge>(), 3));
  auto frozen = machine->freeze();
  REQUIRE(frozen.ok());

  auto weigh = [](const group::FrozenMachine& asked) {
    Bytes params = flatParams<Drudge::WeighParams>([](auto in) { in.setRounds(200); });
    auto question = commandAt(1000, 0, 2, params);
    question.interfaceId = capnp::typeId<Drudge>();
    Heard heard;
    if (!asked.query(question, heard) || !heard.all.at(0).ok) return uint64_t{0};
    return (*ResultWords<Drudge::WeighResults>(heard.all[0].text)).getSum();
  };
  std::vector<std::future<uint64_t>> asked;
  for (int i = 0; i < 3; ++i) {
    asked.push_back(std::async(std::launch::async, weigh, std::cref(**frozen)));
  }
  for (uint64_t round = 0; round < 20; ++round) {
    for (uint64_t key = 0; key < 1000; ++key) put(key, round);
  }
  for (auto& each : asked) CHECK(each.get() == 1000);
  // It outlives the machine that it was made of.
  machine.reset();
  CHECK(weigh(**frozen) == 1000);
}

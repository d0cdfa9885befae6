// The plugin in plain C: its answers, its errors, its snapshot, and parameters that lie.
#include <algorithm>
#include <cstring>

#include <doctest/doctest.h>

#include "host/plugin/twins.h"
#include "slots.capnp.h"
#include "tests/plugin/built.h"
#include "tests/plugin/kv_calls.h"

using namespace flotilla;
using test::Heard;

namespace {

class Memory final : public group::SnapshotSink, public group::SnapshotSource {
public:
  Result<void> write(std::string_view piece) override {
    bytes.append(piece);
    return {};
  }
  Result<size_t> read(char* to, size_t size) override {
    size_t part = std::min({size, bytes.size() - next, size_t{100}});  // in small pieces
    std::memcpy(to, bytes.data() + next, part);
    next += part;
    return part;
  }
  std::string bytes;
  size_t next = 0;
};

std::unique_ptr<group::Machine> slots() {
  auto library = plugin::Library::open(test::pluginFile("slots"));
  REQUIRE(library.ok());
  auto machine = plugin::makeMachine(library->descriptor(), {}, nullptr, {1, 1});
  REQUIRE(machine.ok());
  return std::move(*machine);
}

Heard::One ask(group::Machine& machine, uint16_t method, const Bytes& params) {
  group::MachineCommand command = test::commandAt(1, 0, method, params);
  command.interfaceId = capnp::typeId<Slots>();
  Heard heard;
  if (method == 0) {
    CHECK(machine.apply(&command, 1, heard).applied == 1);
  } else {
    CHECK(machine.query(command, heard).ok());
  }
  REQUIRE(heard.all.size() == 1);
  return heard.all[0];
}

Heard::One add(group::Machine& machine, uint8_t slot, uint64_t by) {
  return ask(machine, 0, test::flatParams<Slots::AddParams>([&](auto in) {
               in.setSlot(slot);
               in.setBy(by);
             }));
}
uint64_t read(group::Machine& machine, uint8_t slot) {
  auto heard =
      ask(machine, 1, test::flatParams<Slots::ReadParams>([&](auto in) { in.setSlot(slot); }));
  REQUIRE(heard.ok);
  return (*test::ResultWords<Slots::ReadResults>(heard.text)).getValue();
}

}  // namespace

TEST_CASE("plugin/slots: a machine in plain C adds, reads, refuses and is restored") {
  auto machine = slots();
  auto heard = add(*machine, 7, 40);
  REQUIRE(heard.ok);
  CHECK((*test::ResultWords<Slots::AddResults>(heard.text)).getValue() == 40);
  add(*machine, 7, 2);
  CHECK(read(*machine, 7) == 42);
  CHECK(read(*machine, 8) == 0);
  CHECK(add(*machine, 64, 1).code == "noSuchSlot");
  Memory memory;
  REQUIRE((*machine->capture())->save(memory).ok());
  auto twin = slots();
  REQUIRE(twin->load(memory).ok());
  CHECK(read(*twin, 7) == 42);
  CHECK(twin->digest() == machine->digest());
  add(*twin, 0, 1);
  CHECK(twin->digest() != machine->digest());
  for (size_t size : {size_t{0}, size_t{511}, size_t{513}}) {
    Memory damaged;
    damaged.bytes = std::string(size, 'x');
    CHECK_FALSE(slots()->load(damaged).ok());
  }
}

TEST_CASE("plugin/slots: parameters that are no struct of the schema are an error, not a crash") {
  auto machine = slots();
  Bytes sound = test::flatParams<Slots::AddParams>([](auto in) { in.setBy(1); });
  for (size_t byte = 0; byte < 8; ++byte) {
    for (int bit = 0; bit < 8; ++bit) {
      std::string words(sound.view());
      words[byte] = static_cast<char>(words[byte] ^ (1 << bit));
      ask(*machine, 0, Bytes::copyOf(words));
    }
  }
  CHECK(ask(*machine, 0, Bytes::copyOf(std::string(8, '\xff'))).code == "badParams");
  CHECK(ask(*machine, 0, Bytes::copyOf(std::string(8, '\0'))).ok);
  CHECK(ask(*machine, 0, Bytes()).ok);
}

TEST_CASE("plugin/slots: twins come to the same") {
  plugin::TwinSetup setup;
  setup.program = test::built("bin/flotilla-plugin-check");
  setup.file = test::pluginFile("slots");
  auto facts = plugin::compareTwins(setup);
  CHECK_MESSAGE(facts.ok(), (facts ? "" : facts.fault().text));
}

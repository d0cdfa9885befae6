// What a simulated group runs: the kv plugin's machine, and the alarms of timer tests.
#include "tests/sim/sim_kv.h"

#include "plugins/kv/kv.cc"  // the shipped machine; nobody asks for the symbol that it ends with
#include "sim_kv.capnp.h"
#include "tests/plugin/alarms/alarm_machine.h"

namespace flotilla::sim {
namespace {

class SimKvMachine : public KvMachine, public test::AlarmMachine {
public:
  static constexpr std::string_view kLongQueries[] = {"get"};  // and quick ones, as lanes choose
};

}  // namespace

const flotilla_descriptor* simDescriptor() {
  return describe<SimKvMachine, SimKv>(
      "sim", "1.0.0",
      {FLOTILLA_HANDLERS(SimKvMachine, put, get, remove, list, compareAndSet, size, set, setMany,
                         tally)});
}

}  // namespace flotilla::sim

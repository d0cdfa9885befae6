// What a simulated group runs whose state lies on disk: the archive plugin's machine, and alarms.
#define flotilla_plugin flotilla_plugin_of_archive  // kv's is in this program, too

#include "plugins/kv/archive.cc"
#include "sim_kv.capnp.h"
#include "tests/plugin/alarms/alarm_machine.h"
#include "tests/sim/sim_kv.h"

namespace flotilla::sim {
namespace {

class SimArchiveMachine : public ArchiveMachine, public test::AlarmMachineOf<DiskTable> {};

}  // namespace

const flotilla_descriptor* simDiskDescriptor() {
  return describe<SimArchiveMachine, SimKv>(
      "sim", "1.0.0",
      {FLOTILLA_HANDLERS(SimArchiveMachine, put, get, remove, list, compareAndSet, size, set,
                         setMany, tally)});
}

}  // namespace flotilla::sim

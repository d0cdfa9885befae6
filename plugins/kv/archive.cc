// The same keys and values on disk, for a state that is larger than memory.
#include "kv_machine.h"

class ArchiveMachine : public KvMachineOf<flotilla::DiskTable> {
public:
  static constexpr bool kOnDisk = true;  // said, for the simulator keeps it beside another machine
};

FLOTILLA_PLUGIN(ArchiveMachine, Kv, "1.0.0", put, get, remove, list, compareAndSet, size)

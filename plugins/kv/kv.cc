// Keys and values in memory.
#include "kv_machine.h"

using KvMachine = KvMachineOf<flotilla::Table>;

FLOTILLA_PLUGIN(KvMachine, Kv, "1.0.0", put, get, remove, list, compareAndSet, size)

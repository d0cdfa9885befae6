# What a simulated group runs: the kv plugin's interface, and alarms.
@0xb6c0d4f1a2e97853;

using Kv = import "/kv.capnp";
using Alarms = import "/alarms.capnp";

interface SimKv extends(Kv.Kv, Alarms.Alarms) {}

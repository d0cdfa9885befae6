// The smallest plugin: named counters.
#include <flotilla/plugin.h>

#include "counter.capnp.h"

using flotilla::bytes;

// Every replica sees the same commands in the same order, so a machine works from its arguments
// alone: no clock, no random numbers, no globals, no files, no threads.
class Counters {
public:
  // A command: replicated, applied once, in log order.
  void add(const flotilla::Entry&, Counter::AddParams::Reader in,
           Counter::AddResults::Builder out) {
    if (in.getName().size() == 0) throw flotilla::Error("emptyName", "a counter needs a name");
    int64_t value = sum(counts_.getOr(bytes(in.getName()), 0), in.getBy());
    counts_.set(bytes(in.getName()), value);
    out.setValue(value);
  }

  // A query: const, so it cannot change anything, and linearizable.
  void read(const flotilla::View&, Counter::ReadParams::Reader in,
            Counter::ReadResults::Builder out) const {
    out.setValue(counts_.getOr(bytes(in.getName()), 0));
  }

private:
  // Beyond the last number a counter goes on at the other end: unsigned, where that is defined.
  static int64_t sum(int64_t left, int64_t right) {
    return static_cast<int64_t>(static_cast<uint64_t>(left) + static_cast<uint64_t>(right));
  }

  flotilla::Table<std::string, int64_t> counts_;  // snapshots, digests and restarts come with it
};

FLOTILLA_PLUGIN(Counters, Counter, "1.0.0", add, read)

// The plugin starter: a number under each name.
#include <flotilla/plugin.h>

#include "starter.capnp.h"

using flotilla::bytes;

// Every replica carries out the same commands in the same order, so a machine works from its
// arguments alone: no clock, no random numbers, no globals, no files, no threads.
class StarterMachine {
public:
  // Not const: a command. It is replicated, and carried out once on each replica in log order.
  void add(const flotilla::Entry&, Starter::AddParams::Reader in,
           Starter::AddResults::Builder out) {
    if (in.getName().size() == 0) throw flotilla::Error("emptyName", "give it a name");
    int64_t value = values_.getOr(bytes(in.getName()), 0);
    if (__builtin_add_overflow(value, in.getBy(), &value)) {
      throw flotilla::Error("tooLarge", "64 bits cannot hold the sum");
    }
    values_.set(bytes(in.getName()), value);
    out.setValue(value);
  }

  // Const: a query. It changes nothing and sees all that was answered before it was asked.
  void read(const flotilla::View&, Starter::ReadParams::Reader in,
            Starter::ReadResults::Builder out) const {
    out.setValue(values_.getOr(bytes(in.getName()), 0));
  }

private:
  flotilla::Table<std::string, int64_t> values_;  // snapshots, digests and undo come with it
};

FLOTILLA_PLUGIN(StarterMachine, Starter, "1.0.0", add, read)

// A machine that runs well until a command tells it not to.
#include <flotilla/plugin.h>
#include <stdexcept>

#include "bad_behaviour.capnp.h"

using flotilla::bytes;
using flotilla::Entry;
using flotilla::View;

class BadMachine {
public:
  using Bad = BadBehaviour;

  void put(const Entry& entry, Bad::PutParams::Reader in, Bad::PutResults::Builder out) {
    values_.set(bytes(in.getKey()), bytes(in.getValue()));
    out.setRevision(entry.index());
  }
  void get(const View&, Bad::GetParams::Reader in, Bad::GetResults::Builder out) const {
    if (const std::string* value = values_.find(bytes(in.getKey()))) {
      out.setValue(flotilla::data(*value));
      out.setFound(true);
    }
  }
  void size(const View&, Bad::SizeParams::Reader, Bad::SizeResults::Builder out) const {
    out.setEntries(values_.size());
  }

  void throwForeign(const Entry&, Bad::ThrowForeignParams::Reader,
                    Bad::ThrowForeignResults::Builder) {
    values_.set("half", "done");  // and taken back, since the command has failed
    throw std::runtime_error("foreign exception on purpose");
  }
  void loopForever(const Entry&, Bad::LoopForeverParams::Reader, Bad::LoopForeverResults::Builder) {
    loop();
  }
  void crash(const Entry&, Bad::CrashParams::Reader, Bad::CrashResults::Builder) { dereference(); }
  void crashQuery(const View&, Bad::CrashQueryParams::Reader,
                  Bad::CrashQueryResults::Builder) const {
    dereference();
  }
  void loopQuery(const View&, Bad::LoopQueryParams::Reader, Bad::LoopQueryResults::Builder) const {
    loop();
  }

private:
  static void loop() {
    volatile uint64_t turns = 0;
    for (;;) turns = turns + 1;
  }
  static void dereference() {
    volatile uintptr_t zero = 0;  // volatile: the compiler would make what it likes of a plain null
    volatile int* nothing = reinterpret_cast<volatile int*>(zero);
    *nothing = 1;
  }

  flotilla::Table<std::string, std::string> values_;
};

FLOTILLA_PLUGIN(BadMachine, BadBehaviour, "1.0.0", put, get, throwForeign, loopForever, crash,
                crashQuery, loopQuery, size)

// A plugin whose descriptor is as it should be but for BAD_CHANGE, a statement that the build
// chooses.
#include <flotilla/plugin.h>

#include "bad.capnp.h"

class Machine {
public:
  void put(const flotilla::Entry&, Plain::PutParams::Reader in, Plain::PutResults::Builder) {
    keys_.set(flotilla::bytes(in.getKey()), 1);
  }
  void get(const flotilla::View&, Plain::GetParams::Reader in,
           Plain::GetResults::Builder out) const {
    out.setFound(keys_.has(flotilla::bytes(in.getKey())));
  }

private:
  flotilla::Table<std::string, uint32_t> keys_;
};

extern "C" void spoil(flotilla_descriptor* descriptor, flotilla_method* rows);

extern const uint64_t kIdOfAStruct;
const uint64_t kIdOfAStruct = capnp::typeId<Plain::PutParams>();

extern "C" const flotilla_descriptor* flotilla_plugin(void) {
  static flotilla_descriptor d =
      *flotilla::describe<Machine, Plain>("sound", "1.0.0", {FLOTILLA_HANDLERS(Machine, put, get)});
  static flotilla_method rows[3] = {d.methods[0], d.methods[1], d.methods[1]};
  spoil(&d, rows);
  return &d;
}

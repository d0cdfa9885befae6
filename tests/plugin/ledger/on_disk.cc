// Sums by key on disk, in several versions: what tests of machines on disk run.
#include <flotilla/plugin.h>

#include "ledger.capnp.h"

#undef FLOTILLA_PLUGIN_NAME
#define FLOTILLA_PLUGIN_NAME "ledger-disk"

using flotilla::bytes;

#if defined(LEDGER_OTHER_LAYOUT)
#define LEDGER_VERSION "1.2.0"
#elif defined(LEDGER_NEXT)
#define LEDGER_VERSION "1.1.0"
#else
#define LEDGER_VERSION "1.0.0"
#endif

class DiskLedger {
public:
#if defined(LEDGER_OTHER_LAYOUT)
  static constexpr uint32_t kStateVersion = 2;
#endif
  using Options = LedgerOptions;
  explicit DiskLedger(Options::Reader options) : keysMax_(options.getKeysMax()) {}

  // Writes one half before it refuses, so that there is something to be undone.
  void add(const flotilla::Entry&, Ledger::AddParams::Reader in, Ledger::AddResults::Builder out) {
    std::string_view key = bytes(in.getKey());
    adds_.set(key, adds_.getOr(key, 0) + 1);
    all_.set(*all_ + 1);
    if (adds_.size() > *keysMax_) {
      throw flotilla::Error("full", "keysMax is " + std::to_string(*keysMax_));
    }
    sums_.set(key, sums_.getOr(key, 0) + in.getBy());
    out.setSum(sums_.getOr(key, 0));
  }
  void get(const flotilla::View&, Ledger::GetParams::Reader in,
           Ledger::GetResults::Builder out) const {
    out.setSum(in.getKey().size() == 0 ? *all_ : sums_.getOr(bytes(in.getKey()), 0));
    out.setAdds(adds_.getOr(bytes(in.getKey()), 0));
  }

private:
  flotilla::Fixed<uint32_t> keysMax_;
  flotilla::DiskTable<std::string, uint64_t> sums_;
  flotilla::DiskTable<std::string, uint64_t> adds_;
  flotilla::Single<uint64_t> all_;
};

FLOTILLA_PLUGIN(DiskLedger, Ledger, LEDGER_VERSION, add, get)

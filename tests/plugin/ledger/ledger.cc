// Sums by key. Told to, it breaks the rule that matters: it looks at its host.
#include <flotilla/plugin.h>
#include <unistd.h>

#include "ledger.capnp.h"

using flotilla::bytes;

class LedgerMachine {
public:
  using Options = LedgerOptions;
  explicit LedgerMachine(Options::Reader options)
      : keysMax_(options.getKeysMax()), strays_(std::string(bytes(options.getStrays()))) {}

  void add(const flotilla::Entry&, Ledger::AddParams::Reader in, Ledger::AddResults::Builder out) {
    std::string_view key = bytes(in.getKey());
    if (sums_.find(key) == nullptr && sums_.size() >= *keysMax_) {
      throw flotilla::Error("full", "keysMax is " + std::to_string(*keysMax_));
    }
    sums_.set(key, sums_.getOr(key, 0) + in.getBy() + (isAstray() ? 1 : 0));
    adds_.set(key, adds_.getOr(key, 0) + 1);
    out.setSum(sums_.getOr(key, 0));
  }
  void get(const flotilla::View&, Ledger::GetParams::Reader in,
           Ledger::GetResults::Builder out) const {
    out.setSum(sums_.getOr(bytes(in.getKey()), 0));
    out.setAdds(adds_.getOr(bytes(in.getKey()), 0));
  }
  // Back from version 2, which has notes beside: they are let go.
  void migrate(uint32_t from, flotilla::SnapshotReader& in) {
    if (from != 2) throw flotilla::Error("otherState", "only version 2 is known here");
    flotilla::Table<std::string, std::string> notes;
    sums_.load(in);
    adds_.load(in);
    notes.load(in);
  }

private:
  bool isAstray() const { return !strays_->empty() && ::access(strays_->c_str(), F_OK) == 0; }

  flotilla::Fixed<uint32_t> keysMax_;
  flotilla::Fixed<std::string> strays_;
  flotilla::Table<std::string, uint64_t> sums_;
  flotilla::Table<std::string, uint64_t> adds_;
};

FLOTILLA_PLUGIN(LedgerMachine, Ledger, "1.0.0", add, get)

// The ledger's next versions: one that moves what the first held into a table of its own, and some
// that must not take over.
#include <cstdlib>
#include <flotilla/plugin.h>

#include "ledger.capnp.h"

using flotilla::bytes;

#undef FLOTILLA_PLUGIN_NAME
#define FLOTILLA_PLUGIN_NAME "ledger"

namespace {

#if defined(LEDGER_MOVES)
constexpr const char* kVersion = "1.1.0";
#elif defined(LEDGER_CANNOT)
constexpr const char* kVersion = "1.2.0";
#elif defined(LEDGER_CRASHES)
constexpr const char* kVersion = "1.3.0";
#elif defined(LEDGER_TURNS)
constexpr const char* kVersion = "1.4.0";
#endif

}  // namespace

class NextMachine {
public:
  static constexpr uint32_t kStateVersion = 2;
  using Options = LedgerOptions;
  explicit NextMachine(Options::Reader options) : keysMax_(options.getKeysMax()) {}

  void add(const flotilla::Entry&, Ledger::AddParams::Reader in, Ledger::AddResults::Builder out) {
    std::string_view key = bytes(in.getKey());
    if (sums_.find(key) == nullptr && sums_.size() >= *keysMax_) {
      throw flotilla::Error("full", "keysMax is " + std::to_string(*keysMax_));
    }
    change(key, sums_.getOr(key, 0) + in.getBy());
    if (in.getNote().size() > 0) notes_.set(key, std::string(bytes(in.getNote())));
    out.setSum(sums_.getOr(key, 0));
  }
  void get(const flotilla::View&, Ledger::GetParams::Reader in,
           Ledger::GetResults::Builder out) const {
    std::string_view key = bytes(in.getKey());
    out.setSum(sums_.getOr(key, 0));
    out.setAdds(adds_.getOr(key, 0));
    if (const std::string* note = notes_.find(key)) out.setNote(flotilla::text(*note));
  }
#if defined(LEDGER_TURNS)
  void take(const flotilla::View&, Ledger::TakeParams::Reader in,
            Ledger::TakeResults::Builder out) const {
    out.setSum(sums_.getOr(bytes(in.getKey()), 0) - in.getBy());
  }
#else
  void take(const flotilla::Entry&, Ledger::TakeParams::Reader in,
            Ledger::TakeResults::Builder out) {
    std::string_view key = bytes(in.getKey());
    if (sums_.getOr(key, 0) < in.getBy()) throw flotilla::Error("short", "not so much is there");
    change(key, sums_.getOr(key, 0) - in.getBy());
    out.setSum(sums_.getOr(key, 0));
  }
#endif

  // The first version kept sums and counts; both stay, and notes come.
  void migrate(uint32_t from, flotilla::SnapshotReader& in) {
    if (from != 1) throw flotilla::Error("otherState", "only version 1 is known here");
#if defined(LEDGER_CANNOT)
    throw flotilla::Error("cannot", "this version migrates nothing");
#elif defined(LEDGER_CRASHES)
    std::abort();
#endif
    sums_.load(in);
    adds_.load(in);
  }

private:
  void change(std::string_view key, uint64_t sum) {
    sums_.set(key, sum);
    adds_.set(key, adds_.getOr(key, 0) + 1);
  }

  flotilla::Fixed<uint32_t> keysMax_;
  flotilla::Table<std::string, uint64_t> sums_;
  flotilla::Table<std::string, uint64_t> adds_;
  flotilla::Table<std::string, std::string> notes_;
};

FLOTILLA_PLUGIN(NextMachine, Ledger, kVersion, add, get, take)

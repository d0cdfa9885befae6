// Numbers by number, and walks over them that take as long as they are told.
#include <flotilla/plugin.h>

#include "drudge.capnp.h"

class DrudgeMachine {
public:
  static constexpr std::string_view kFrees[] = {"clear"};
  static constexpr std::string_view kLongQueries[] = {"weigh"};

  void put(const flotilla::Entry&, Drudge::PutParams::Reader in, Drudge::PutResults::Builder out) {
    sum_.set(*sum_ - values_.getOr(in.getKey(), 0) + in.getValue());
    values_.set(in.getKey(), in.getValue());
    out.setSum(*sum_);
  }
  void toil(const flotilla::Entry&, Drudge::ToilParams::Reader in,
            Drudge::ToilResults::Builder out) {
    out.setMark(walked(in.getRounds()));
  }
  void weigh(const flotilla::View&, Drudge::WeighParams::Reader in,
             Drudge::WeighResults::Builder out) const {
    out.setSum(walked(in.getRounds()));
    out.setEntries(values_.size());
  }
  void weighHere(const flotilla::View&, Drudge::WeighHereParams::Reader in,
                 Drudge::WeighHereResults::Builder out) const {
    out.setSum(walked(in.getRounds()));
    out.setEntries(values_.size());
  }
  void clear(const flotilla::Entry&, Drudge::ClearParams::Reader, Drudge::ClearResults::Builder) {
    std::vector<uint64_t> keys;
    for (const auto& [key, value] : values_) keys.push_back(key);
    for (uint64_t key : keys) values_.erase(key);
    sum_.set(0);
  }

private:
  // The sum of the last walk.
  uint64_t walked(uint32_t rounds) const {
    uint64_t sum = 0;
    for (uint32_t round = 0; round < rounds; ++round) {
      sum = 0;
      for (const auto& [key, value] : values_) sum += value;
    }
    return sum;
  }

  flotilla::Table<uint64_t, uint64_t> values_;
  flotilla::Single<uint64_t> sum_;
};

FLOTILLA_PLUGIN(DrudgeMachine, Drudge, "1.0.0", put, toil, weigh, weighHere, clear)

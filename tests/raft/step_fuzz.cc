// Fuzz target: one core, peers that say whatever they like, and a disk that ends writes at any
// time.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <map>
#include <optional>
#include <utility>
#include <vector>

#include "host/raft/core.h"
#include "host/raft/describe.h"
#include "tests/raft/sparing_core.h"

namespace {

using namespace flotilla::raft;

constexpr size_t kStepsMax = 400;

void demand(bool holds) {
  if (!holds) std::abort();
}

// Numbers out of the input, 0 once it is used up. A byte's low bits decide, so that text does too.
class Dice {
public:
  Dice(const uint8_t* bytes, size_t size) : at_(bytes), limit_(bytes + size) {}
  bool empty() const { return at_ == limit_; }
  uint64_t below(uint64_t limit) { return empty() ? 0 : *at_++ % limit; }
  bool odd() { return below(2) == 1; }
  // Near `middle`, sometimes far from everything.
  uint64_t near(uint64_t middle) {
    uint64_t step = below(11);
    if (step == 10) return below(2) == 0 ? 0 : ~uint64_t{0} >> below(64);
    uint64_t value = middle + step;
    return value < 5 ? 0 : value - 5;
  }

private:
  const uint8_t* at_;
  const uint8_t* limit_;
};

// Holds what a core wants done against what it says of itself.
class Watch {
public:
  explicit Watch(Dice dice)
      : dice_(dice),
        config_(configOf(dice_)),
        shape_(shapeOf(dice_)),
        hard_{shape_.lastTerm() + dice_.below(2), 0, 0},
        core_(config_, hard_, shape_),
        sparing_(config_, hard_, shape_) {
    for (Index index = core_.shape().firstIndex(); index <= core_.shape().lastIndex(); ++index) {
      entries_[index] = *core_.shape().termAt(index);
    }
  }

  void run() {
    for (size_t i = 0; i < kStepsMax && !dice_.empty(); ++i) {
      if (std::optional<Input> input = next()) take(*input);
    }
  }

private:
  static CoreConfig configOf(Dice& dice) {
    CoreConfig config;
    config.self = 1;
    config.seed = dice.below(256);
    config.electionTicks = 2 + static_cast<uint32_t>(dice.below(4));
    config.appendEntriesMax = 1 + static_cast<uint32_t>(dice.below(4));
    config.appendBytesMax = 50 * dice.below(4);
    config.inflightMax = 1 + static_cast<uint32_t>(dice.below(4));
    config.inflightBytesMax = 100 * dice.below(4);
    config.uncommittedBytesMax = 100 + 100 * dice.below(10);
    config.promotionLagMax = static_cast<uint32_t>(dice.below(4));
    config.sleepTicks = static_cast<uint32_t>(dice.below(3));
    config.preVote = dice.odd();
    config.checkQuorum = dice.odd();
    config.leaseReads = dice.odd();
    config.lazyCommit = dice.odd();
    config.quietTicks = static_cast<uint32_t>(dice.below(4));
    config.settledTicks = static_cast<uint32_t>(dice.below(6));
    return config;
  }

  static LogShape shapeOf(Dice& dice) {
    Configuration configuration;
    ReplicaId voters = dice.below(4);
    for (ReplicaId id = 1; id <= voters; ++id) configuration.voters.push_back(id);
    Index base = dice.below(3);
    LogShape shape({base, base == 0 ? Term{0} : Term{1}}, configuration);
    for (uint64_t count = dice.below(4); count > 0; --count) {
      Term term = std::max<Term>(shape.lastTerm(), 1) + dice.below(2);
      shape.append(shape.lastIndex() + 1, term);
    }
    return shape;
  }

  std::optional<Input> next() {
    switch (dice_.below(20)) {
      case 0:
      case 1:
      case 2:
        return Tick{dice_.below(8) == 0};
      case 3:
      case 4:
        if (writes_ == persisted_) return std::nullopt;
        return Persisted{persisted_ += 1 + dice_.below(writes_ - persisted_)};
      case 5:
        return Propose{1, 10 * dice_.below(20)};
      case 6:
        return ProposeConfiguration{2, replicas(), replicas()};
      case 7:
        return Read{++reads_};
      case 8:
        return Transfer{dice_.below(6)};
      case 9:
        return compact();
      case 10:
        return installed();
      case 11:
        return SnapshotSent{dice_.below(6), point(), dice_.odd()};
      case 12:
        return Unreachable{dice_.below(6)};
      case 13:
        return dice_.odd() ? Input(Campaign{}) : Input(Wake{dice_.odd(), dice_.odd()});
      default:
        return Receive{message(), 10 * dice_.below(100)};
    }
  }

  std::vector<ReplicaId> replicas() {
    std::vector<ReplicaId> some;
    for (uint64_t count = dice_.below(5); count > 0; --count) some.push_back(dice_.below(7));
    return some;
  }
  std::vector<ReplicaId> sorted() {
    std::vector<ReplicaId> some = replicas();
    if (dice_.below(8) != 0) {
      std::sort(some.begin(), some.end());
      some.erase(std::unique(some.begin(), some.end()), some.end());
    }
    return some;
  }
  LogPoint point() {
    // Mostly one that is ours.
    Index index = dice_.near(core_.shape().lastIndex());
    Term term = core_.shape().termAt(index).value_or(core_.term());
    return {index, dice_.below(4) == 0 ? dice_.near(term) : term};
  }

  std::optional<Input> compact() {
    Index index = std::min<Index>(dice_.near(core_.applicable()), core_.applicable());
    std::optional<Term> term = core_.shape().termAt(index);
    if (!term) return std::nullopt;
    return Compact{{index, *term}, dice_.near(index)};
  }

  std::optional<Input> installed() {
    if (!installing_) return std::nullopt;
    LogPoint at = std::exchange(installing_, std::nullopt)->point;
    return Installed{at, dice_.odd()};
  }

  Message message() {
    Message it;
    it.kind = static_cast<MessageKind>(dice_.below(15));  // one more than there are
    it.from = 2 + dice_.below(3);
    it.to = 1;
    it.term = dice_.below(3) == 0 ? dice_.near(core_.term()) : core_.term();
    it.after = point();
    it.last = point();
    it.hint = point();
    it.commit = dice_.near(core_.commit());
    it.index = dice_.near(core_.shape().lastIndex());
    it.context = dice_.odd() ? heard_ : dice_.near(heard_);
    it.granted = dice_.odd();
    it.force = dice_.below(4) == 0;
    TermRun run{it.after.index, it.after.term};
    for (uint64_t count = dice_.below(3); count > 0; --count) {
      run = {run.last + dice_.below(4), run.term + dice_.below(2)};
      it.runs.push_back(run);
    }
    for (uint64_t count = dice_.below(3); count > 0; --count) {
      Configuration configuration{sorted(), sorted(), sorted(), sorted(), dice_.odd()};
      it.configurations.push_back({dice_.near(run.last), std::move(configuration)});
    }
    return it;
  }

  void take(const Input& input) {
    Term term = core_.term();
    Index commit = core_.commit();
    Index apply = core_.applicable();
    Effects effects;
    core_.step(input, effects);
    demand(describe(sparing_.step(input)) == describe(effects));
    demand(sparing_.isAs(core_));
    demand(core_.term() >= term);
    demand(core_.commit() >= commit);
    demand(core_.applicable() >= apply);
    demand(core_.applicable() <= core_.commit());
    demand(core_.commit() <= core_.shape().lastIndex());
    demand(effects.apply == core_.applicable());
    demand(!core_.asleep() || core_.commit() == core_.shape().lastIndex());
    demand(core_.role() != Role::leader || core_.leader() == core_.self());
    for (const Message& message : effects.sends) {
      demand(message.to != core_.self());
      demand(message.to != 0);
      if (message.kind == MessageKind::heartbeat) heard_ = message.context;
      if (message.kind == MessageKind::readIndex) heard_ = message.context;
      (void)describe(message);
    }
    if (effects.install) installing_ = effects.install;
    if (effects.write) write(*effects.write);
    const LogShape& shape = core_.shape();
    demand(LogShape::from(shape.base(), shape.allRuns(), shape.configurations()) == shape);
    (void)describe(effects);
    (void)describe(input);
  }

  // The entries a write names are all that has changed.
  void write(const Write& write) {
    demand(write.id == ++writes_);
    const LogShape& shape = core_.shape();
    if (write.reset) entries_.clear();
    entries_.erase(entries_.lower_bound(write.first), entries_.end());
    demand(write.last == shape.lastIndex());
    demand(write.last < write.first || write.last - write.first < 1000);
    for (Index index = write.first; index <= write.last; ++index) {
      entries_[index] = shape.termAt(index).value_or(0);
    }
    entries_.erase(entries_.begin(), entries_.upper_bound(shape.base().index));
    demand(entries_.size() == shape.lastIndex() - shape.base().index);
    for (const auto& [index, term] : entries_) demand(shape.termAt(index) == term);
  }

  Dice dice_;
  const CoreConfig config_;
  const LogShape shape_;  // it began with
  HardState hard_;
  Core core_;
  flotilla::test::SparingCore sparing_;
  std::map<Index, Term> entries_;  // as the writes named them
  WriteId writes_ = 0;
  WriteId persisted_ = 0;
  ReadId reads_ = 0;
  uint64_t heard_ = 0;  // the newest context it sent
  std::optional<Install> installing_;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size) {
  Watch(Dice(bytes, size)).run();
  return 0;
}

// Dispatch, errors and faults, settings, and machines that save themselves.
#include "flotilla/instance.h"

#include <stdexcept>

#include <doctest/doctest.h>

#include "counter.capnp.h"
#include "flotilla/harness.h"
#include "flotilla/plugin.h"

using flotilla::Entry;
using flotilla::View;
using flotilla::testing::Harness;
using flotilla::testing::MachineFault;

namespace {

using Add = Counter::AddParams::Reader;
using Added = Counter::AddResults::Builder;
using Read = Counter::ReadParams::Reader;
using WasRead = Counter::ReadResults::Builder;

// Says by its name what add is to do, after it has changed something.
class Moody {
public:
  explicit Moody(const flotilla::Config& config)
      : step_(config.number("step", 1, {.min = 1, .max = 100})) {}

  void add(const Entry& entry, Add in, Added out) {
    std::string name = in.getName().cStr();
    values_.set(name, in.getBy());
    last_.set(in.getBy());
    if (name == "error") throw flotilla::Error("moody", "not today");
    if (name == "std") throw std::runtime_error("broken");
    if (name == "int") throw 5;
    if (name == "kj") KJ_FAIL_REQUIRE("author's own check");
    out.setValue(static_cast<int64_t>(entry.index() + *step_));
  }
  void read(const View& view, Read, WasRead out) const {
    out.setValue(*last_ * 1000 + static_cast<int64_t>(view.index()));
  }

private:
  flotilla::Table<std::string, int64_t> values_;
  flotilla::Single<int64_t> last_;
  flotilla::Fixed<uint64_t> step_;
};

// Keeps its state in its own way.
class Own {
public:
  static constexpr uint32_t kStateVersion = 3;

  void add(const Entry&, Add in, Added out) {
    sum_ += in.getBy();
    out.setValue(sum_);
  }
  void read(const View&, Read, WasRead out) const { out.setValue(sum_); }

  struct Sum {
    int64_t sum;
    void save(flotilla::SnapshotWriter& out) const { out.number(sum); }
  };
  Sum capture() const { return {sum_}; }
  void load(flotilla::SnapshotReader& in) { sum_ = in.number<int64_t>(); }
  uint64_t digest() const { return static_cast<uint64_t>(sum_); }

private:
  int64_t sum_ = 0;
};

class OwnNewer : public Own {
public:
  static constexpr uint32_t kStateVersion = 4;
  void add(const Entry& entry, Add in, Added out) { Own::add(entry, in, out); }
  void read(const View& view, Read in, WasRead out) const { Own::read(view, in, out); }
};

// Asks for a key ahead, and throws while it does so where its name begins with that.
class Hasty {
public:
  void add(const Entry&, Add in, Added out) {
    values_.set(flotilla::bytes(in.getName()), in.getBy());
    out.setValue(static_cast<int64_t>(values_.size()));
  }
  void read(const View&, Read, WasRead out) const { out.setValue(1); }
  void prepare(Add in) const {
    std::string_view name = flotilla::bytes(in.getName());
    values_.prefetch(name);
    if (name.starts_with("kj")) KJ_FAIL_REQUIRE("while it prepares");
    if (name.starts_with("error")) throw flotilla::Error("hasty", "while it prepares");
  }

private:
  flotilla::Table<std::string, int64_t> values_;
};

// Counts what is read ahead.
class Ahead {
public:
  void add(const Entry&, Add in, Added) { values_.set(flotilla::bytes(in.getName()), in.getBy()); }
  void read(const View&, Read, WasRead) const {}
  void prepare(Add) const { ++prepared; }

  static inline int prepared = 0;

private:
  flotilla::Table<std::string, int64_t> values_;
};

template <typename Machine>
Harness<Machine> harness(const typename Harness<Machine>::Settings& settings = {}) {
  return Harness<Machine>({FLOTILLA_HANDLERS(Machine, add, read)}, settings);
}

template <typename H, typename Machine = Moody>
auto add(H& machine, const char* name, int64_t by) {
  return machine.template call<&Machine::add>([&](auto in) {
    in.setName(name);
    in.setBy(by);
  });
}

}  // namespace

TEST_CASE("sdk/instance: an Error is an answer and what the command did is undone") {
  auto machine = harness<Moody>();
  CHECK(add(machine, "fine", 7).result().getValue() == 2);
  uint64_t digest = machine.digest();
  auto answer = add(machine, "error", 8);
  CHECK(answer.code() == "moody");
  CHECK(answer.text() == "not today");
  CHECK(machine.digest() == digest);
  auto read = machine.call<&Moody::read>([](auto) {});
  CHECK(read.result().getValue() == 7002);
}

TEST_CASE("sdk/instance: anything else thrown is a fault with its words, and undone as well") {
  auto machine = harness<Moody>();
  add(machine, "fine", 7);
  uint64_t digest = machine.digest();
  CHECK_THROWS_WITH_AS(add(machine, "std", 1), "broken", MachineFault);
  CHECK_THROWS_WITH_AS(add(machine, "int", 1), "threw something that is no std::exception",
                       MachineFault);
  CHECK_THROWS_WITH_AS(add(machine, "kj", 1), doctest::Contains("author's own check"),
                       MachineFault);
  CHECK(machine.digest() == digest);
}

// AddressSanitizer sees whether a run still looks for what the one before it asked for.
TEST_CASE("sdk/instance: a command that throws while it prepares is carried out, and forgotten") {
  auto machine = harness<Hasty>();
  auto put = [&machine](const std::string& name) {
    return add<Harness<Hasty>, Hasty>(machine, name.c_str(), 1).result().getValue();
  };
  for (int64_t i = 1; i <= 5000; ++i) CHECK(put("key " + std::to_string(i)) == i);
  CHECK(put("kj, and so long that it lies in a place of its own") == 5001);
  CHECK(put("key 1") == 5001);
  CHECK(put("error, and so long that it lies in a place of its own") == 5002);
  CHECK(put("key 2") == 5002);
}

TEST_CASE("sdk/instance: each command is read ahead, alone or not, for that counts as reading") {
  auto machine = harness<Ahead>();
  for (int i = 1; i <= 3; ++i) {
    add<Harness<Ahead>, Ahead>(machine, "few", i);
    CHECK(Ahead::prepared == i);
  }
}

TEST_CASE("sdk/instance: settings are checked, and unknown ones refused with the known") {
  auto machine = harness<Moody>({{"step", "5"}});
  CHECK(add(machine, "fine", 7).result().getValue() == 6);
  CHECK_THROWS_WITH(harness<Moody>({{"step", "0"}}),
                    "config step \"0\": needs a whole number from 1 to 100");
  CHECK_THROWS_WITH(harness<Moody>({{"step", "5x"}}),
                    "config step \"5x\": needs a whole number from 1 to 100");
  CHECK_THROWS_WITH(harness<Moody>({{"stop", "5"}}),
                    "config stop: no such key; this plugin knows step");
}

TEST_CASE("sdk/instance: a machine may save itself, under its own state version") {
  auto machine = harness<Own>();
  add<Harness<Own>, Own>(machine, "", 5);
  machine.restart();
  CHECK(add<Harness<Own>, Own>(machine, "", 2).result().getValue() == 7);
  CHECK(machine.digest() == 7);
  auto newer = harness<OwnNewer>();
  CHECK_THROWS_WITH(
      newer.restore(machine.snapshot()),
      "a snapshot of state version 3, this plugin has 4 and no migrate(version, reader)");
  CHECK_THROWS_WITH(machine.restore("not a snapshot"), "does not begin as one");
  CHECK_THROWS_WITH(machine.restore(machine.snapshot() + "more"), "goes on after its end");
}

TEST_CASE("sdk/describe: a handler of another method's types is a problem with a name") {
  const auto* d = flotilla::describe<Own, Counter>(
      "own", "1.0.0", {flotilla::handler<&Own::add>("read"), flotilla::handler<&Own::read>("red")});
  REQUIRE(d->problem != nullptr);
  CHECK(std::string(d->problem) == "handler read takes other parameters than method read");
}

namespace {

// As Moody, with one table more and other values in the first.
class Mended {
public:
  static constexpr uint32_t kStateVersion = 2;

  void add(const Entry&, Add in, Added out) {
    std::string name = in.getName().cStr();
    if (name == "error") {
      values_.set(name, "changed");
      throw flotilla::Error("moody", "not today");
    }
    values_.set(name, std::to_string(in.getBy()));
    counts_.set(name, counts_.getOr(name, 0) + 1);
    out.setValue(static_cast<int64_t>(values_.size()));
  }
  void read(const View&, Read in, WasRead out) const {
    const std::string* value = values_.find(in.getName().cStr());
    out.setValue(value == nullptr ? -1 : std::stoll(*value));
  }
  void migrate(uint32_t from, flotilla::SnapshotReader& in) {
    if (from != 1) throw flotilla::Error("otherState", "knows version 1 alone");
    flotilla::Table<std::string, int64_t> values;
    flotilla::Single<int64_t> last;
    values.load(in);
    last.load(in);
    for (const auto& [key, value] : values) values_.set(key, std::to_string(value));
  }

private:
  flotilla::Table<std::string, std::string> values_;
  flotilla::Table<std::string, uint64_t> counts_;
};

}  // namespace

TEST_CASE("sdk/instance: a machine begins with what an older version of it has saved") {
  Harness<Moody> before({FLOTILLA_HANDLERS(Moody, add, read)});
  for (int64_t i = 0; i < 100; ++i) {
    before.call<&Moody::add>([&](auto in) {
      in.setName("k" + std::to_string(i));
      in.setBy(i);
    });
  }
  Harness<Mended> after({FLOTILLA_HANDLERS(Mended, add, read)});
  after.restore(before.snapshot());
  auto valueOf = [&](const char* name) {
    return after.call<&Mended::read>([&](auto in) { in.setName(name); }).result().getValue();
  };
  CHECK(valueOf("k42") == 42);
  CHECK(valueOf("k100") == -1);
  // What it was filled with is no command's: a failed one takes back its own alone.
  CHECK(after.call<&Mended::add>([](auto in) { in.setName("error"); }).code() == "moody");
  CHECK(valueOf("error") == -1);
  CHECK(valueOf("k42") == 42);
  after.restart();
  CHECK(valueOf("k7") == 7);
  CHECK_THROWS_WITH(before.restore(after.snapshot()),
                    "a snapshot of state version 2, this plugin has 1 and no migrate(version, "
                    "reader)");
}

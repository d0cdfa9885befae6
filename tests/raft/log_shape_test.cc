// LogShape against a plain list of terms.
#include "host/raft/log_shape.h"

#include <vector>

#include <doctest/doctest.h>

#include "host/base/prng.h"
#include "host/raft/entry_sizes.h"

namespace flotilla::raft {

namespace {

Configuration voters(std::vector<ReplicaId> list) {
  Configuration configuration;
  configuration.voters = std::move(list);
  return configuration;
}

}  // namespace

TEST_CASE("raft/log_shape: it answers as a plain list of terms would") {
  base::Prng prng(7);
  LogShape shape({}, voters({1}));
  std::vector<Term> terms = {0};  // by index
  Index base = 0;
  for (int step = 0; step < 4000; ++step) {
    uint64_t dice = prng.below(10);
    if (dice < 5 && terms.size() < 200) {
      Term term = terms.back() + prng.below(2);
      if (term == 0) term = 1;
      Index last = shape.lastIndex() + 1 + prng.below(4);
      shape.append(last, term);
      terms.resize(last + 1, term);
    } else if (dice < 8) {
      Index last = base + prng.below(shape.lastIndex() - base + 1);
      shape.truncateAfter(last);
      terms.resize(last + 1);
    } else if (dice < 9) {
      base += prng.below(shape.lastIndex() - base + 1) / 4;
      shape.compactTo(base);
    }
    REQUIRE(shape.base() == LogPoint{base, terms[base]});
    REQUIRE(shape.last() == LogPoint{terms.size() - 1, terms.back()});
    for (Index index = base; index < terms.size(); ++index)
      REQUIRE(shape.termAt(index) == terms[index]);
    REQUIRE(!shape.termAt(terms.size()));
    if (base > 0) REQUIRE(!shape.termAt(base - 1));

    Index after = base + prng.below(terms.size() - base);
    Index at = after;
    for (const TermRun& run : shape.runs(after, shape.lastIndex())) {
      REQUIRE(run.last > at);
      while (at < run.last) REQUIRE(terms[++at] == run.term);
    }
    REQUIRE(at == shape.lastIndex());

    Term most = prng.below(terms.back() + 2);
    LogPoint found = shape.lastAtMost(after, most);
    Index wanted = after;
    while (wanted > base && terms[wanted] > most) --wanted;
    bool known = terms[wanted] <= most;
    REQUIRE(found == (known ? LogPoint{wanted, terms[wanted]} : LogPoint{}));

    auto again = LogShape::from(shape.base(), shape.allRuns(), shape.configurations());
    REQUIRE(again.has_value());
    REQUIRE(*again == shape);
  }
}

TEST_CASE("raft/log_shape: configurations go with the entries that carry them") {
  LogShape shape({}, voters({1}));
  shape.append(10, 1);
  shape.addConfiguration({3, voters({1, 2})});
  shape.addConfiguration({7, voters({1, 2, 3})});
  CHECK(shape.latestConfiguration().index == 7);
  CHECK(shape.configurationAt(6).index == 3);
  shape.truncateAfter(6);
  CHECK(shape.latestConfiguration().index == 3);
  shape.compactTo(5);
  CHECK(shape.configurations().size() == 1);
  CHECK(shape.latestConfiguration().configuration == voters({1, 2}));
  // Rolled back past the compacted part: what was in force at the base stays.
  shape.truncateAfter(5);
  CHECK(shape.latestConfiguration().configuration == voters({1, 2}));
  shape.reset({20, 4}, voters({4}));
  CHECK(shape.configurations() == std::vector<ConfigurationAt>{{20, voters({4})}});
}

TEST_CASE("raft/log_shape: what a disk gives back is checked") {
  CHECK(LogShape::from({5, 2}, {{6, 2}, {9, 3}}, {{5, voters({1})}}).has_value());
  CHECK(!LogShape::from({5, 2}, {{5, 2}}, {{5, voters({1})}}));     // does not rise
  CHECK(!LogShape::from({5, 2}, {{6, 1}}, {{5, voters({1})}}));     // term falls
  CHECK(!LogShape::from({5, 2}, {{6, 2}}, {}));                     // no configuration
  CHECK(!LogShape::from({5, 2}, {{6, 2}}, {{6, voters({1})}}));     // none at the base
  CHECK(!LogShape::from({5, 2}, {{6, 2}}, {{5, voters({2, 1})}}));  // not sorted
  CHECK(
      !LogShape::from({5, 2}, {{6, 2}}, {{5, voters({1})}, {7, voters({1, 2})}}));  // past the end
}

TEST_CASE("raft/entry_sizes: ranges add up, also after forgetting") {
  EntrySizes sizes;
  sizes.restart(10, 0);
  for (uint64_t i = 1; i <= 5000; ++i) sizes.add(i % 7);
  auto plain = [](Index after, Index last) {
    uint64_t sum = 0;
    for (Index index = after + 1; index <= last; ++index) sum += (index - 10) % 7;
    return sum;
  };
  CHECK(sizes.between(10, 5010) == plain(10, 5010));
  sizes.release(5000);
  CHECK(sizes.between(4500, 5010) == plain(4500, 5010));
  CHECK(sizes.lastWithin(4500, 5010, 0) == 4501);
  for (uint64_t limit : {1U, 5U, 30U, 100U, 5000U}) {
    Index last = sizes.lastWithin(4500, 5010, limit);
    CHECK((plain(4500, last) <= limit || last == 4501));
    if (last < 5010) CHECK(plain(4500, last + 1) > limit);
  }
}

}  // namespace flotilla::raft

// Kept answers, beside a map that has each by itself.
#include "host/group/kept_answers.h"

#include <algorithm>
#include <limits>
#include <map>
#include <numeric>
#include <random>
#include <vector>

#include <doctest/doctest.h>

namespace flotilla::group {
namespace {

struct Known {
  bool settled = false;
  ErrorCode code = ErrorCode::none;
  std::string appCode, body;
  Position position;

  bool operator==(const Known&) const = default;
};

Known knownOf(const KeptAnswers::Answer& answer) {
  return {answer.settled, answer.code, std::string(answer.appCode), std::string(answer.body),
          answer.position};
}

Known wellDone(std::string body, Position position) {
  Known known;
  known.body = std::move(body);
  known.position = position;
  return known;
}

KeptAnswers::Answer answerOf(const Known& known) {
  return {true, known.code, known.appCode, known.body, known.position};
}

// The kept ones and the map that they are to be like.
struct Both {
  KeptAnswers kept;
  std::map<uint64_t, Known> model;

  void add(uint64_t sequence) {
    kept.add(sequence);
    model[sequence] = {};
  }
  void settle(uint64_t sequence, Known answer) {
    answer.settled = true;
    auto it = model.find(sequence);
    CHECK(kept.settle(sequence, answerOf(answer)) == (it != model.end()));
    if (it != model.end()) it->second = std::move(answer);
  }
  void dropBelow(uint64_t sequence) {
    uint64_t count = 0;
    uint64_t bytes = 0;
    while (!model.empty() && model.begin()->first < sequence) {
      ++count;
      bytes += model.begin()->second.body.size();
      model.erase(model.begin());
    }
    KeptAnswers::Gone gone = kept.dropBelow(sequence);
    CHECK(gone.count == count);
    CHECK(gone.bytes == bytes);
  }
  void check() const {
    REQUIRE(kept.size() == model.size());
    CHECK(kept.lastSequence() == (model.empty() ? 0 : model.rbegin()->first));
    auto it = model.begin();
    bool same = true;
    for (const KeptAnswers::Run& run : kept.runs()) {
      for (uint32_t i = 0; i < run.count; ++i) {
        Known known = knownOf(run.answer);
        if (known.settled) known.position.ordinal += i;
        same = same && it != model.end() && run.sequence + i == it->first && known == it->second;
        if (it != model.end()) ++it;
      }
    }
    CHECK(it == model.end());
    for (const auto& [sequence, known] : model) {
      same = same && kept.has(sequence) && knownOf(kept.at(sequence)) == known &&
             kept.has(sequence + 1) == model.contains(sequence + 1) &&
             kept.has(sequence - 1) == model.contains(sequence - 1);
    }
    REQUIRE(same);
  }
};

}  // namespace

TEST_CASE("group/kept_answers: whatever comes and goes, each has its own") {
  for (uint64_t seed = 1; seed <= 300; ++seed) {
    CAPTURE(seed);
    std::mt19937_64 random(seed);
    auto below = [&random](uint64_t limit) { return random() % limit; };
    Both both;
    uint64_t next = 1 + below(5);
    uint64_t wild = below(4);  // how seldom things follow one another
    Position at{1, 0};
    for (int round = 0; round < 60; ++round) {
      std::vector<uint64_t> run;
      for (uint64_t n = below(20); n > 0; --n) {
        uint64_t sequence = next;
        if (below(8) < wild) sequence = 1 + below(next + 4);
        if (both.model.contains(sequence)) continue;
        both.add(sequence);
        run.push_back(sequence);
        next = std::max(next, sequence) + 1;
      }
      both.check();
      if (below(8) < wild) std::shuffle(run.begin(), run.end(), random);
      if (below(8) < wild) both.dropBelow(below(next + 2));
      at = {at.index + below(2), below(2) == 0 ? 0 : at.ordinal};
      for (uint64_t sequence : run) {
        Known answer;
        if (below(8) < wild) answer.code = ErrorCode::app;
        if (answer.code == ErrorCode::app && below(2) == 0) answer.appCode = "full";
        answer.body = std::string(below(8) < wild ? below(60) : 16, below(8) < wild ? 'x' : 'y');
        answer.position = at;
        both.settle(sequence, answer);
        if (below(8) >= wild) ++at.ordinal;
      }
      both.check();
      if (below(3) == 0) both.dropBelow(below(next + 2));
      both.check();
    }
    uint64_t bytes = 0;
    for (const auto& [sequence, known] : both.model) bytes += known.body.size();
    KeptAnswers::Gone gone = both.kept.dropAll();
    CHECK(gone.count == both.model.size());
    CHECK(gone.bytes == bytes);
    CHECK(both.kept.size() == 0);
  }
}

TEST_CASE("group/kept_answers: a batch that is answered alike is one record") {
  Both both;
  uint64_t sequence = 1;
  for (uint32_t entry = 1; entry <= 50; ++entry) {
    for (uint32_t i = 0; i < 64; ++i) both.add(sequence + i);
    CHECK(both.kept.recordCount() <= entry);
    for (uint32_t i = 0; i < 64; ++i) {
      both.settle(sequence + i, wellDone("done", {entry, 3 + i}));
    }
    CHECK(both.kept.recordCount() == entry);
    sequence += 64;
  }
  both.check();
  both.dropBelow(64 * 20 + 10);  // in the middle of one
  CHECK(both.kept.recordCount() == 30);
  both.check();
}

TEST_CASE("group/kept_answers: as few runs as there can be, in whatever order they were settled") {
  std::vector<uint64_t> order(40);
  std::iota(order.begin(), order.end(), 1);
  std::mt19937_64 random(5);
  for (int round = 0; round < 50; ++round) {
    Both both;
    for (uint64_t sequence : order) both.add(sequence);
    std::shuffle(order.begin(), order.end(), random);
    for (uint64_t sequence : order) {
      both.settle(sequence, wellDone(sequence == 20 ? "other" : "done",
                                     {7, static_cast<uint32_t>(100 + sequence)}));
    }
    std::sort(order.begin(), order.end());
    std::vector<KeptAnswers::Run> runs = both.kept.runs();
    REQUIRE(runs.size() == 3);
    CHECK(runs[0].sequence == 1);
    CHECK(runs[0].count == 19);
    CHECK(runs[1].sequence == 20);
    CHECK(runs[1].count == 1);
    CHECK(runs[2].sequence == 21);
    CHECK(runs[2].count == 20);
    CHECK(runs[2].answer.position == Position{7, 121});

    // And appended they are what they were, one by one as well.
    Both copy;
    copy.model = both.model;
    for (const KeptAnswers::Run& run : runs) copy.kept.append(run);
    copy.check();
    CHECK(copy.kept.recordCount() == 3);
    Both single;
    single.model = both.model;
    for (const auto& [sequence, known] : both.model) {
      single.kept.append({sequence, 1, answerOf(known)});
    }
    single.check();
    CHECK(single.kept.recordCount() == 3);
  }
}

TEST_CASE("group/kept_answers: what differs in anything is a record of its own") {
  Known usual = wellDone("done", {7, 4});
  Known others[] = {usual, usual, usual, usual, usual, usual};
  others[0].position = {8, 5};
  others[1].position = {7, 6};
  others[2].code = ErrorCode::app;
  others[3].appCode = "full";
  others[4].body = "dine";
  others[5].body = "";
  for (size_t i = 0; i < std::size(others); ++i) {
    CAPTURE(i);
    if (i >= 2) others[i].position = {7, 5};
    Both both;
    both.add(1);
    both.add(2);
    both.settle(1, usual);
    both.settle(2, others[i]);
    CHECK(both.kept.recordCount() == 2);
    both.check();
  }
}

TEST_CASE("group/kept_answers: the largest sequence there is") {
  constexpr uint64_t kLargest = std::numeric_limits<uint64_t>::max();
  Both both;
  both.add(kLargest);
  CHECK(both.kept.has(kLargest));
  CHECK(!both.kept.has(0));
  both.add(kLargest - 1);
  both.add(3);
  both.settle(kLargest - 1, wellDone("one", {1, 0}));
  both.settle(kLargest, wellDone("one", {1, 1}));
  CHECK(both.kept.has(kLargest));
  both.dropBelow(kLargest);
  CHECK(both.kept.size() == 1);
  CHECK(both.kept.at(kLargest).position == Position{1, 1});
  CHECK(both.kept.dropAll().count == 1);
}

}  // namespace flotilla::group

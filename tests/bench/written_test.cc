// The bench's judge: histograms and what may stand under a key.
#include "tests/bench/written.h"

#include <doctest/doctest.h>

#include "tests/bench/histogram.h"

namespace flotilla::bench {
namespace {

std::string valueOf(KeyId key, uint64_t put) {
  std::string value(128, 0);
  fillValue(key, put, value.data(), value.size());
  return value;
}

TEST_CASE("bench/histogram: a percentile is exact when small and within 1 % when large") {
  Histogram histogram;
  for (uint64_t us = 1; us <= 100; ++us) histogram.add(us);
  CHECK(histogram.percentile(0.5) == 50);
  CHECK(histogram.percentile(0.99) == 99);
  CHECK(histogram.percentile(1) == 100);

  histogram.clear();
  for (uint64_t us = 1; us <= 1'000'000; ++us) histogram.add(us);
  for (double share : {0.1, 0.5, 0.9, 0.99, 0.999}) {
    CHECK(static_cast<double>(histogram.percentile(share)) ==
          doctest::Approx(share * 1e6).epsilon(0.01));
  }
  CHECK(histogram.percentile(1) == 1'000'000);
  CHECK(histogram.max() == 1'000'000);
  CHECK(histogram.count() == 1'000'000);
}

TEST_CASE("bench/histogram: none gives 0, and what is past its end counts as its end") {
  Histogram histogram;
  CHECK(histogram.percentile(0.5) == 0);
  histogram.add(uint64_t{1} << 50);
  CHECK(histogram.max() == Histogram::kMax);
  CHECK(histogram.percentile(0.5) == Histogram::kMax);
}

TEST_CASE("bench/written: an answered put drops what was answered before it began") {
  Written written(1);
  KeyId key{3, 7};
  written.began(key, 1);
  written.answered(key, 1);
  CHECK(written.mayBe(key, valueOf(key, 1)));
  written.began(key, 2);
  CHECK(written.mayBe(key, valueOf(key, 1)));
  CHECK(written.mayBe(key, valueOf(key, 2)));
  written.answered(key, 2);
  CHECK_FALSE(written.mayBe(key, valueOf(key, 1)));
  CHECK(written.mayBe(key, valueOf(key, 2)));
  CHECK_FALSE(written.mayBe(key, valueOf(key, 3)));
  CHECK_FALSE(written.mayBe(key, valueOf({3, 8}, 2)));
}

TEST_CASE("bench/written: puts that overlap, or have no answer, may stand last") {
  Written written(1);
  KeyId key{0, 0};
  written.began(key, 1);
  written.began(key, 2);
  written.answered(key, 2);
  written.answered(key, 1);
  CHECK(written.mayBe(key, valueOf(key, 1)));
  CHECK(written.mayBe(key, valueOf(key, 2)));
  written.began(key, 3);  // its outcome is never known
  written.began(key, 4);
  written.answered(key, 4);
  CHECK(written.mayBe(key, valueOf(key, 3)));
  CHECK(written.mayBe(key, valueOf(key, 4)));
  CHECK_FALSE(written.mayBe(key, valueOf(key, 1)));
  CHECK(written.keys() == std::vector<KeyId>{key});
}

TEST_CASE("bench/written: only a sample is kept") {
  Written written(10);
  for (uint32_t key = 0; key < 100; ++key) {
    written.began({0, key}, key);
    written.answered({0, key}, key);
  }
  CHECK(written.keys().size() == 10);
}

}  // namespace
}  // namespace flotilla::bench

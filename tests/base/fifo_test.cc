// The queue, held against std::deque.
#include "host/base/fifo.h"

#include <algorithm>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "host/base/prng.h"

using flotilla::base::Fifo;

TEST_CASE("base/fifo: does as std::deque does, whatever is done to it") {
  flotilla::base::Prng prng(7);
  for (int round = 0; round < 20; ++round) {
    Fifo<std::string> fifo;
    std::deque<std::string> model;
    uint64_t growth = 3 + prng.below(4);  // of ten: from shrinking to growing
    for (int step = 0; step < 2000; ++step) {
      std::string text = std::to_string(prng.below(1'000'000));
      uint64_t choice = prng.below(10);
      if (choice < growth) {
        fifo.push_back(text);
        model.push_back(text);
      } else if (choice == 7 && step % 50 == 0) {
        fifo.clear();
        model.clear();
      } else if (choice == 8) {
        size_t place = prng.below(model.size() + 1);
        fifo.insert(fifo.begin() + place, text);
        model.insert(model.begin() + static_cast<std::ptrdiff_t>(place), text);
      } else if (choice == 7 && step % 3 == 0) {
        size_t from = prng.below(model.size() + 1);
        size_t to = from + prng.below(std::min<size_t>(model.size() - from, 20) + 1);
        std::vector<std::string> with(prng.below(4), text);
        fifo.replace(fifo.begin() + from, fifo.begin() + to, with);
        model.erase(model.begin() + static_cast<std::ptrdiff_t>(from),
                    model.begin() + static_cast<std::ptrdiff_t>(to));
        for (const std::string& each : with) {
          model.insert(model.begin() + static_cast<std::ptrdiff_t>(from), each);
        }
      } else if (!model.empty() && choice == 9) {
        size_t place = prng.below(model.size());
        fifo.erase(fifo.begin() + place);
        model.erase(model.begin() + static_cast<std::ptrdiff_t>(place));
      } else if (!model.empty() && choice == 6) {
        fifo.pop_back();
        model.pop_back();
      } else if (!model.empty()) {
        fifo.pop_front();
        model.pop_front();
      }
      REQUIRE(fifo.size() == model.size());
      REQUIRE(std::equal(fifo.begin(), fifo.end(), model.begin(), model.end()));
      if (model.empty()) continue;
      size_t place = prng.below(model.size());
      CHECK(fifo[place] == model[place]);
      CHECK(fifo.front() == model.front());
      CHECK(fifo.back() == model.back());
    }
  }
}

TEST_CASE("base/fifo: what was taken out is let go at once") {
  Fifo<std::shared_ptr<int>> fifo;
  auto held = std::make_shared<int>(1);
  for (int i = 0; i < 10; ++i) fifo.push_back(held);
  CHECK(held.use_count() == 11);
  for (int i = 0; i < 5; ++i) fifo.pop_front();
  CHECK(held.use_count() == 6);
  fifo.clear();
  CHECK(held.use_count() == 1);
}

TEST_CASE("base/give_back: the room of what is given back is free") {
  std::vector<int> numbers(1000);
  flotilla::base::giveBack(numbers);
  CHECK(numbers.capacity() == 0);
  std::string text(1000, 'x');
  flotilla::base::giveBack(text);
  CHECK(text.empty());
  CHECK(text.capacity() < 100);
}

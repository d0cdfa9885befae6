// A run's parameters and a command's result, as they lie in memory.
#include "flotilla/run.h"

#include <string>
#include <vector>

#include <doctest/doctest.h>

using flotilla::Results;
using flotilla::Run;

namespace {

constexpr size_t kRoomBytes = 8192;  // of a thread's results; more takes further segments

// Fills a result with a text of ones, which zeros follow at once in the room.
std::string filled(Results& results, unsigned bytes) {
  auto data = results.message().getRoot<capnp::AnyPointer>().initAs<capnp::Data>(bytes);
  for (kj::byte each : data) REQUIRE(each == 0);
  std::fill(data.begin(), data.end(), 0xff);
  return std::string(results.segment());
}

std::string dataIn(std::string_view segment) {
  auto words = kj::heapArray<capnp::word>(segment.size() / sizeof(capnp::word));
  std::copy(segment.begin(), segment.end(), words.asBytes().begin());
  kj::ArrayPtr<const capnp::word> segments[] = {words};
  capnp::SegmentArrayMessageReader reader(segments);
  auto data = reader.getRoot<capnp::AnyPointer>().getAs<capnp::Data>();
  return {data.begin(), data.end()};
}

// Commands whose parameters are one word each: a struct without anything.
struct Commands {
  explicit Commands(size_t count) : params(count, 0), commands(count) {
    for (size_t i = 0; i < count; ++i) {
      commands[i] = {};
      commands[i].size = sizeof commands[i];
      commands[i].index = i;
      commands[i].params = {&params[i], sizeof params[i]};
    }
  }
  std::vector<uint64_t> params;
  std::vector<flotilla_command> commands;
};

}  // namespace

TEST_CASE("sdk/run: a result begins with zeros, whatever was in its room before") {
  for (unsigned bytes :
       {0U, 1U, 8U, 4000U, 8184U, 8192U, 9000U, 100'000U, 3U, 8000U, 20'000U, 5U}) {
    CAPTURE(bytes);
    Results results;
    CHECK(dataIn(filled(results, bytes)) == std::string(bytes, static_cast<char>(0xff)));
  }
}

TEST_CASE("sdk/run: a result of several segments is one segment in the end") {
  for (int round = 0; round < 3; ++round) {
    Results results;
    auto list = results.message().getRoot<capnp::AnyPointer>().initAs<capnp::List<capnp::Data>>(20);
    for (unsigned i = 0; i < list.size(); ++i) {
      auto data = list.init(i, 1000 + i);
      for (kj::byte each : data) REQUIRE(each == 0);
      std::fill(data.begin(), data.end(), static_cast<kj::byte>(i + 1));
    }
    std::string segment(results.segment());
    CHECK(segment.size() > 2 * kRoomBytes);
    kj::ArrayPtr<const capnp::word> segments[] = {
        {reinterpret_cast<const capnp::word*>(segment.data()), segment.size() / 8}};
    capnp::SegmentArrayMessageReader reader(segments);
    auto read = reader.getRoot<capnp::AnyPointer>().getAs<capnp::List<capnp::Data>>();
    REQUIRE(read.size() == 20);
    for (unsigned i = 0; i < read.size(); ++i) {
      REQUIRE(read[i].size() == 1000 + i);
      CHECK(read[i][999] == i + 1);
    }
  }
}

TEST_CASE("sdk/run: a result that is too large is the author's error") {
  Results results;
  results.message().getRoot<capnp::AnyPointer>().initAs<capnp::List<capnp::Data>>(2).init(
      1, static_cast<unsigned>(Results::kBytesMax));
  CHECK_THROWS_WITH_AS(results.segment(), doctest::Contains("a result may take"), flotilla::Error);
}

TEST_CASE("sdk/run: commands are decoded some dozens at a time, damaged ones apart") {
  for (size_t count : {1UL, 3UL, 31UL, 32UL, 33UL, 100UL}) {
    CAPTURE(count);
    Commands given(count);
    for (size_t i = 0; i < count; i += 7) given.params[i] = ~uint64_t{0};  // points out of bounds
    Run run(given.commands.data(), count);
    for (size_t place = 0; place < count; ++place) {
      if (place % Run::kDecodedMax == 0) run.decode(place);
      CAPTURE(place);
      CHECK(run.command(place).index == place);
      CHECK(run.damaged(place) == (place % 7 == 0));
      CHECK(run.damage(place).empty() == (place % 7 != 0));
    }
  }
}

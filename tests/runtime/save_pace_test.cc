// Saving in step with a rate, and at once where the host stops or the replica goes.
#include "host/runtime/save_pace.h"

#include <doctest/doctest.h>

namespace flotilla::runtime {
namespace {

struct Count final : group::SnapshotSink {
  uint64_t bytes = 0;
  Result<void> write(std::string_view piece) override {
    bytes += piece.size();
    return {};
  }
};

}  // namespace

TEST_CASE("runtime/save_pace: whoever is in a hurry, or wants nothing, does not wait") {
  Count file;
  std::string piece(1 << 20, 'x');
  std::atomic<bool> unwanted{false};
  SavePace pace(1);  // a byte a second: any wait would last for days
  PacedSink sink(file, pace, unwanted);
  CHECK(sink.write(piece).ok());  // nothing went before it
  pace.hurry.store(true);
  CHECK(sink.write(piece).ok());
  pace.hurry.store(false);
  unwanted.store(true);
  CHECK(sink.write(piece).fault().code == ErrorCode::unavailable);
  CHECK(file.bytes == 2 * piece.size());
}

TEST_CASE("runtime/save_pace: no faster than it may, and without a rate at once") {
  Count file;
  std::string piece(10'000, 'x');
  std::atomic<bool> unwanted{false};
  SavePace slow(1'000'000);
  PacedSink sink(file, slow, unwanted);
  auto began = std::chrono::steady_clock::now();
  for (int i = 0; i < 11; ++i) CHECK(sink.write(piece).ok());
  // A tenth of a second's bytes before the last, less what may be made up for.
  CHECK(std::chrono::steady_clock::now() - began > std::chrono::milliseconds(70));
  SavePace any(0);
  PacedSink quick(file, any, unwanted);
  for (int i = 0; i < 1000; ++i) CHECK(quick.write(piece).ok());
}

}  // namespace flotilla::runtime

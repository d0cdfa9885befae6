// Fuzz target: whatever bytes come, however they are cut into reads, messages are those that
// capnp's own reader finds in them.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <vector>

#include <capnp/serialize-async.h>
#include <kj/exception.h>

#include "sdk/client/message_pipe.h"
#include "tests/client/script_stream.h"

namespace {

constexpr uint64_t kWordsMax = 16'384;  // more than the pipe's buffer has room for

// The segments of each message, and whether the end was one.
struct Seen {
  std::vector<std::vector<std::string>> messages;
  bool ended = false;
  bool operator==(const Seen&) const = default;
};

Seen readAll(capnp::MessageStream& stream, kj::WaitScope& scope) {
  Seen seen;
  capnp::ReaderOptions options;
  options.traversalLimitInWords = kWordsMax;
  (void)kj::runCatchingExceptions([&]() {
    while (!seen.ended) {
      auto message = stream.tryReadMessage(options).wait(scope);
      KJ_IF_MAYBE (found, message) {
        auto& segments = seen.messages.emplace_back();
        for (kj::uint i = 0;; ++i) {
          auto segment = (*found)->getSegment(i);
          if (segment == nullptr && i != 0) break;
          auto bytes = segment.asBytes();
          segments.emplace_back(reinterpret_cast<const char*>(bytes.begin()), bytes.size());
        }
      } else {
        seen.ended = true;
      }
    }
  });
  return seen;
}

// A count of segments that wraps round to none is an empty message for capnp, and none for us.
bool hasWrappedCount(const std::string& text) {
  for (size_t i = 0; i + 4 <= text.size(); i += sizeof(capnp::word)) {
    if (text.compare(i, 4, "\xff\xff\xff\xff") == 0) return true;
  }
  return false;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size) {
  if (size == 0) return 0;
  std::string text(reinterpret_cast<const char*>(bytes) + 1, size - 1);
  if (hasWrappedCount(text)) return 0;
  size_t step = bytes[0] < 128 ? bytes[0] + 1U : 1UL << (bytes[0] % 20);
  kj::EventLoop loop;
  kj::WaitScope scope(loop);
  flotilla::test::ScriptStream ours(text, step);
  flotilla::client::MessagePipe pipe(ours);
  flotilla::test::ScriptStream theirs(text, step);
  capnp::AsyncIoMessageStream capnps(theirs);
  if (readAll(pipe, scope) != readAll(capnps, scope)) std::abort();
  return 0;
}

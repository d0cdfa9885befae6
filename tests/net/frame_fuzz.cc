// Fuzz target: the frames of a peer that sends whatever it likes.
#include <cstdint>
#include <cstdlib>
#include <cstring>

#include <capnp/message.h>
#include <capnp/serialize.h>

#include "host/net/codec.h"
#include "host/net/connection.h"

namespace {

// What was decoded must be sound enough to be sent on and decoded again.
void sendOn(const flotilla::group::PeerMessage& message) {
  capnp::MallocMessageBuilder builder;
  auto to = builder.initRoot<flotilla::schema::Message>();
  flotilla::net::encode(message, to);
  auto again = flotilla::net::decode(to.asReader());
  if (!again || again->message != message.message) std::abort();
  if (again->entries.size() != message.entries.size()) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size) {
  auto words = kj::heapArray<capnp::word>(size / sizeof(capnp::word));
  if (words.size() > 0) std::memcpy(words.begin(), bytes, words.asBytes().size());
  (void)kj::runCatchingExceptions([&] {
    capnp::FlatArrayMessageReader reader(words, flotilla::net::messageLimits());
    auto frame = flotilla::net::decode(reader.getRoot<flotilla::schema::Frame>());
    for (const flotilla::group::PeerMessage& message : frame.messages) sendOn(message);
  });
  return 0;
}

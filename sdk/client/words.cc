// Parameters and results as flat words: one Cap'n Proto segment, root pointer first.
#include "sdk/client/words.h"

#include <cstring>

#include "sdk/client/fault_text.h"

namespace flotilla::client {
namespace {

bool onWordBoundary(const Bytes& bytes) {
  return reinterpret_cast<uintptr_t>(bytes.data()) % sizeof(capnp::word) == 0;
}

// No bytes at all are read as a struct with nothing in it.
const capnp::word kNothing = {};

kj::ArrayPtr<const capnp::word> wordsOf(const Bytes& bytes) {
  if (bytes.size() < sizeof(capnp::word)) return kj::arrayPtr(&kNothing, 1);
  return kj::arrayPtr(reinterpret_cast<const capnp::word*>(bytes.data()),
                      bytes.size() / sizeof(capnp::word));
}

kj::Array<capnp::word> copyUnlessAligned(const Bytes& bytes) {
  if (onWordBoundary(bytes)) return nullptr;
  auto copy = kj::heapArray<capnp::word>(bytes.size() / sizeof(capnp::word));
  std::memcpy(copy.begin(), bytes.data(), copy.size() * sizeof(capnp::word));
  return copy;
}

// Answers may be as large as a batch; capnp's own limit guards against messages that read the same
// words again and again.
capnp::ReaderOptions readerOptions() {
  capnp::ReaderOptions options;
  options.traversalLimitInWords = 64 << 20;
  return options;
}

}  // namespace

kj::Array<capnp::word> flatten(capnp::AnyPointer::Reader value) {
  capnp::MessageSize size = value.targetSize();
  if (size.capCount != 0) {
    kj::throwFatalException(exceptionOf(
        {ErrorCode::badRequest,
         "parameters: hold a capability, which cannot be replicated; pass values only", ""}));
  }
  capnp::MallocMessageBuilder message(static_cast<unsigned>(size.wordCount) + 1);
  message.getRoot<capnp::AnyPointer>().set(value);
  auto segments = message.getSegmentsForOutput();
  KJ_ASSERT(segments.size() == 1);
  auto words = kj::heapArray<capnp::word>(segments[0].size());
  std::memcpy(words.begin(), segments[0].begin(), words.asBytes().size());
  return words;
}

FlatMessage::FlatMessage(Bytes bytes)
    : bytes_(std::move(bytes)),
      copy_(copyUnlessAligned(bytes_)),
      segments_{copy_ == nullptr ? wordsOf(bytes_) : copy_.asPtr()},
      reader_(kj::arrayPtr(segments_, 1), readerOptions()) {}

}  // namespace flotilla::client

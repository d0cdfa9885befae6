// Parameters and results as flat words: one Cap'n Proto segment, root pointer first.
#pragma once

#include <cstdint>

#include <capnp/any.h>
#include <capnp/message.h>
#include <kj/array.h>

#include "flotilla/bytes.h"

namespace flotilla::client {

// A method by the interface that declares it.
struct MethodId {
  uint64_t interfaceId = 0;
  uint16_t method = 0;

  bool operator==(const MethodId&) const = default;
};

// A struct as flat words. Throws (badRequest) where it holds capabilities, which cannot be
// replicated.
kj::Array<capnp::word> flatten(capnp::AnyPointer::Reader value);

template <typename T>
kj::Array<capnp::word> flatten(const typename T::Reader& value) {
  capnp::MallocMessageBuilder message(static_cast<unsigned>(value.totalSize().wordCount) + 1);
  message.setRoot(value);
  return flatten(message.getRoot<capnp::AnyPointer>().asReader());
}

// Reads flat words in place, and keeps them alive.
//
// Owner:  whoever reads; readers got from it die with it.
// Thread: one at a time.
// Errors: root() throws where the words are no struct; reading throws where they are damaged.
class FlatMessage {
public:
  explicit FlatMessage(Bytes bytes);

  template <typename T>
  typename T::Reader root() {
    return reader_.getRoot<T>();
  }

private:
  Bytes bytes_;
  kj::Array<capnp::word> copy_;  // where the bytes do not lie on a word's boundary
  kj::ArrayPtr<const capnp::word> segments_[1];
  capnp::SegmentArrayMessageReader reader_;
};

}  // namespace flotilla::client

// Parameters and results as one Cap'n Proto segment, root pointer first.
#pragma once

#include <utility>

#include <capnp/message.h>
#include <kj/array.h>

#include "flotilla/bytes.h"

namespace flotilla::runtime {

inline Bytes flatWords(capnp::MessageBuilder& message) {
  auto bytesOf = [](kj::ArrayPtr<const capnp::word> segment) {
    auto chars = segment.asChars();
    return Bytes::copyOf({chars.begin(), chars.size()});
  };
  auto segments = message.getSegmentsForOutput();
  if (segments.size() == 1) return bytesOf(segments[0]);
  // What did not fit into the first segment fits into one of its whole size.
  auto root = message.getRoot<capnp::AnyPointer>().asReader();
  capnp::MallocMessageBuilder whole(static_cast<unsigned>(root.targetSize().wordCount + 1),
                                    capnp::AllocationStrategy::FIXED_SIZE);
  whole.setRoot(root);
  return bytesOf(whole.getSegmentsForOutput()[0]);
}

// A struct that `fill(builder)` writes.
template <typename T, typename Fill>
Bytes flatWords(Fill fill) {
  capnp::MallocMessageBuilder message(256);
  fill(message.initRoot<T>());
  return flatWords(message);
}

// A copy of a struct.
template <typename T>
Bytes flatCopy(typename T::Reader from) {
  capnp::MallocMessageBuilder message(256);
  message.setRoot(from);
  return flatWords(message);
}

// Reads one in place, and keeps it alive.
//
// Owner:  whoever reads; readers got from it die with it.
// Thread: one at a time.
// Errors: reading damaged words throws.
class FlatReader {
public:
  explicit FlatReader(Bytes bytes)
      : bytes_(std::move(bytes)),
        segments_{{reinterpret_cast<const capnp::word*>(bytes_.data()),
                   bytes_.size() / sizeof(capnp::word)}},
        reader_(kj::arrayPtr(segments_, 1)) {}
  KJ_DISALLOW_COPY(FlatReader);

  template <typename T>
  typename T::Reader root() {
    return reader_.getRoot<T>();
  }

private:
  Bytes bytes_;
  kj::ArrayPtr<const capnp::word> segments_[1];
  capnp::SegmentArrayMessageReader reader_;
};

}  // namespace flotilla::runtime

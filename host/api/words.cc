// Flat words: one Cap'n Proto segment, root pointer first, no segment table.
#include "host/api/words.h"

#include <cstring>
#include <string>

#include <capnp/message.h>
#include <kj/exception.h>

namespace flotilla::api {
namespace {

Result<Bytes> copied(capnp::AnyPointer::Reader from) {
  capnp::MessageSize size = from.targetSize();
  if (size.capCount > 0) {
    return Fault{ErrorCode::badRequest,
                 "params: carry a capability, which cannot be replicated; pass values", ""};
  }
  uint64_t bytes = (size.wordCount + 1) * sizeof(capnp::word);
  if (bytes > kParamsBytesMax) {
    return Fault{
        ErrorCode::tooLarge,
        "params: " + std::to_string(bytes) + " bytes; at most " + std::to_string(kParamsBytesMax),
        ""};
  }
  std::shared_ptr<char[]> buffer = Bytes::allocate(bytes);
  std::memset(buffer.get(), 0, bytes);
  capnp::FlatMessageBuilder message(
      kj::arrayPtr(reinterpret_cast<capnp::word*>(buffer.get()), bytes / sizeof(capnp::word)));
  message.getRoot<capnp::AnyPointer>().set(from);
  size_t used = message.getSegmentsForOutput()[0].asBytes().size();
  return Bytes::take(std::move(buffer), used);
}

}  // namespace

Result<Bytes> flatten(capnp::AnyPointer::Reader from) {
  Result<Bytes> words = Bytes();
  KJ_IF_MAYBE (damage, kj::runCatchingExceptions([&] { words = copied(from); })) {
    words = Fault{ErrorCode::badRequest,
                  std::string("params: damaged: ") + damage->getDescription().cStr(), ""};
  }
  return words;
}

}  // namespace flotilla::api

// A byte stream that reads little for one who has not logged in.
#include "host/net/stranger_stream.h"

#include <algorithm>

#include "host/net/refusal.h"

namespace flotilla::net {

kj::Promise<size_t> StrangerStream::tryRead(void* buffer, size_t minBytes, size_t maxBytes) {
  if (caller_.loggedIn()) return inner_->tryRead(buffer, minBytes, maxBytes);
  if (bytesLeft_ == 0) {
    return refusal(ErrorCode::denied,
                   "connection " + caller_.address() + ": sent too much before it logged in");
  }
  // As much as comes at once, and no more than is left: what is missing is asked for again, by then
  // perhaps for one who is known.
  size_t most = std::min<size_t>(maxBytes, bytesLeft_);
  return inner_->tryRead(buffer, 1, most)
      .then([this, buffer, minBytes, maxBytes](size_t got) -> kj::Promise<size_t> {
        bytesLeft_ -= got;
        if (got == 0 || got >= minBytes) return got;
        auto* rest = static_cast<kj::byte*>(buffer) + got;
        return tryRead(rest, minBytes - got, maxBytes - got).then([got](size_t more) {
          return got + more;
        });
      });
}

}  // namespace flotilla::net

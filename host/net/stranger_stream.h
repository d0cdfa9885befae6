// A byte stream that reads little for one who has not logged in.
#pragma once

#include <cstdint>

#include <kj/async-io.h>

#include "host/net/listener.h"

namespace flotilla::net {

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wnon-virtual-dtor"  // kj's streams are destroyed by kj::Own

// A message is held from its first byte on, so whoever comes without a secret could make a host
// hold as many large ones as it has connections.
//
// Owner:  the connection; `caller` outlives it.
// Thread: its loop's.
// Errors: a stranger's read beyond `bytesMax` fails, which ends the connection.
class StrangerStream final : public kj::AsyncIoStream {
public:
  StrangerStream(kj::Own<kj::AsyncIoStream> inner, const Caller& caller, uint64_t bytesMax)
      : inner_(kj::mv(inner)), caller_(caller), bytesLeft_(bytesMax) {}

  kj::Promise<size_t> tryRead(void* buffer, size_t minBytes, size_t maxBytes) override;

  kj::Promise<void> write(const void* buffer, size_t size) override {
    return inner_->write(buffer, size);
  }
  kj::Promise<void> write(kj::ArrayPtr<const kj::ArrayPtr<const kj::byte>> pieces) override {
    return inner_->write(pieces);
  }
  kj::Promise<void> whenWriteDisconnected() override { return inner_->whenWriteDisconnected(); }
  void shutdownWrite() override { inner_->shutdownWrite(); }
  void abortRead() override { inner_->abortRead(); }
  void getsockopt(int level, int option, void* value, kj::uint* length) override {
    inner_->getsockopt(level, option, value, length);
  }
  void setsockopt(int level, int option, const void* value, kj::uint length) override {
    inner_->setsockopt(level, option, value, length);
  }
  void getsockname(struct sockaddr* address, kj::uint* length) override {
    inner_->getsockname(address, length);
  }
  void getpeername(struct sockaddr* address, kj::uint* length) override {
    inner_->getpeername(address, length);
  }
  kj::Maybe<int> getFd() const override { return inner_->getFd(); }

private:
  kj::Own<kj::AsyncIoStream> inner_;
  const Caller& caller_;
  uint64_t bytesLeft_;
};

#pragma GCC diagnostic pop

}  // namespace flotilla::net

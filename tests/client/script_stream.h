// A byte stream that is written down beforehand.
#pragma once

#include <algorithm>
#include <cstring>
#include <string>
#include <utility>

#include <kj/async-io.h>

namespace flotilla::test {

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wnon-virtual-dtor"  // kj's streams are destroyed by kj::Own

// Hands out what it was given, so many bytes a read, and then ends; keeps what is written.
class ScriptStream final : public kj::AsyncIoStream {
public:
  ScriptStream(std::string bytes, size_t step) : bytes_(std::move(bytes)), step_(step) {}

  kj::Promise<size_t> tryRead(void* to, size_t minBytes, size_t maxBytes) override {
    size_t size = std::min({std::max(step_, minBytes), maxBytes, bytes_.size() - at_});
    if (size > 0) std::memcpy(to, bytes_.data() + at_, size);
    at_ += size;
    ++reads;
    return size;
  }
  kj::Promise<void> write(const void* from, size_t size) override {
    written.append(static_cast<const char*>(from), size);
    return kj::READY_NOW;
  }
  kj::Promise<void> write(kj::ArrayPtr<const kj::ArrayPtr<const kj::byte>> pieces) override {
    for (auto piece : pieces) {
      written.append(reinterpret_cast<const char*>(piece.begin()), piece.size());
    }
    return kj::READY_NOW;
  }
  kj::Promise<void> whenWriteDisconnected() override { return kj::NEVER_DONE; }
  void shutdownWrite() override { ended = true; }

  std::string written;
  size_t reads = 0;
  bool ended = false;

private:
  std::string bytes_;
  size_t step_;
  size_t at_ = 0;
};

#pragma GCC diagnostic pop

}  // namespace flotilla::test

// A byte stream that writes once a turn of the loop.
#pragma once

#include <cstddef>
#include <vector>

#include <kj/async-io.h>
#include <kj/function.h>

namespace flotilla::client {

inline constexpr size_t kFlushBytes = 32 << 10;     // pending bytes that do not wait for the turn
inline constexpr size_t kUnsentBytesMax = 4 << 20;  // beyond it writes wait for the wire

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wnon-virtual-dtor"  // kj's streams are destroyed by kj::Own

// Cap'n Proto writes once a message; this stream makes it one write for all messages of the moment
// (MessagePipe does so for reads), which more than halves the CPU of a call. Written bytes are
// copied, answered at once, and leave when the loop has nothing else to do (kj::evalLast) or when
// kFlushBytes wait. A side that would hold ever more for one that does not read can cease to read
// itself meanwhile (`readWhile`).
//
// Owner:  the connection. Bytes not yet sent are lost with it; shutdownWrite sends them first. They
//         lie in rooms that a thread's streams share, of which 8 MiB at most are kept.
// Thread: its loop's.
// Errors: a failed write of the inner stream fails every later write with the same exception and
//         ends reading, for a connection that is half dead is dead. A write after shutdownWrite is
//         the caller's bug and fails.
// Time:   a write is answered at once below kUnsentBytesMax, and else once half of that is sent.
class GatheringStream final : public kj::AsyncIoStream {
public:
  explicit GatheringStream(kj::Own<kj::AsyncIoStream> inner);
  ~GatheringStream() noexcept(false);

  kj::Promise<size_t> tryRead(void* buffer, size_t minBytes, size_t maxBytes) override;
  kj::Promise<void> write(const void* buffer, size_t size) override;
  kj::Promise<void> write(kj::ArrayPtr<const kj::ArrayPtr<const kj::byte>> pieces) override;
  kj::Promise<void> whenWriteDisconnected() override;
  void shutdownWrite() override;
  void abortRead() override;

  void getsockopt(int level, int option, void* value, kj::uint* length) override;
  void setsockopt(int level, int option, const void* value, kj::uint length) override;
  void getsockname(struct sockaddr* address, kj::uint* length) override;
  void getpeername(struct sockaddr* address, kj::uint* length) override;
  kj::Maybe<int> getFd() const override;

  // Reads wait while this says no; it is asked again when something has been sent.
  void readWhile(kj::Function<bool()> mayRead) { mayRead_ = kj::mv(mayRead); }
  // For a reader that holds bytes which it has not taken in yet; one waits at a time.
  bool mayRead();
  kj::Promise<void> whenMayRead();

  size_t unsentBytes() const { return pending_.size() + flying_.size(); }

private:
  void readSoon();
  kj::Maybe<kj::Exception> refusal() const;
  void add(kj::ArrayPtr<const kj::byte> bytes);
  kj::Promise<void> accept();
  void flushSoon();
  kj::Promise<void> flush();
  kj::Promise<void> onFlushed();
  void fail(kj::Exception&& exception);

  kj::Own<kj::AsyncIoStream> inner_;
  std::vector<kj::byte> pending_;  // written to us, not yet handed to the inner stream
  std::vector<kj::byte> flying_;   // being written by the inner stream
  kj::Maybe<kj::Function<bool()>> mayRead_;
  kj::Maybe<kj::Own<kj::PromiseFulfiller<void>>> readWanted_;  // while it may not
  enum class Stage { idle, planned, flying };
  Stage stage_ = Stage::idle;
  bool shutdown_ = false;
  kj::Maybe<kj::Exception> failed_;
  std::vector<kj::Own<kj::PromiseFulfiller<void>>> roomWanted_;
  kj::Promise<void> flushTask_;
  kj::Promise<void> readTask_;
};
#pragma GCC diagnostic pop

// The wrapper that every connection gets.
kj::Own<kj::AsyncIoStream> gathering(kj::Own<kj::AsyncIoStream> inner);

}  // namespace flotilla::client

// Cap'n Proto messages over a byte stream, and messages beside those of RPC.
#pragma once

#include <cstddef>
#include <vector>

#include <capnp/message.h>
#include <capnp/rpc.capnp.h>
#include <capnp/serialize-async.h>
#include <kj/async-io.h>
#include <kj/function.h>
#include <kj/refcount.h>

namespace flotilla::client {

class GatheringStream;

inline constexpr size_t kReadBufferBytes = 64 << 10;

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wnon-virtual-dtor"  // capnp's MessageStream has none

// The messages of one connection, in the standard framing (a table of segments, then these). What
// one read brings is taken apart where it lies: a message costs its copy and one promise, where
// capnp's own reader goes back to the stream for each part of it.
//
// Two ends that know of each other can say things beside the calls: a message in `obsoleteSave`,
// which no version of RPC sends any more, does not go to RPC but to `onAside`. It costs no call,
// return and finish, and may overtake calls, never another aside. Where nobody takes it RPC does,
// and answers that it is unimplemented.
//
// Owner:  the connection; `stream` outlives it. Asides need one that gathers (gathering_stream.h);
//         that one's `readWhile` is asked before each message.
// Thread: its loop's.
// Errors: a read is rejected where a message is malformed, larger than its ReaderOptions allow, cut
//         off by the stream's end, or where `onAside` throws: each is the connection's end.
class MessagePipe final : public capnp::MessageStream {
public:
  explicit MessagePipe(kj::AsyncIoStream& stream);
  KJ_DISALLOW_COPY(MessagePipe);

  using Aside = kj::Function<void(capnp::AnyPointer::Reader)>;
  void onAside(Aside aside) { aside_ = kj::mv(aside); }
  void takeNoAside() { aside_ = nullptr; }

  // A message to be sent aside begins with its content ...
  template <typename T>
  static typename T::Builder beginAside(capnp::MessageBuilder& message) {
    return message.initRoot<capnp::rpc::Message>().initObsoleteSave().template initAs<T>();
  }
  // ... and is in the stream at once. One that has failed ends the reads, too.
  void sendAside(capnp::MessageBuilder& message);
  // False: asides would keep what RPC says from being taken.
  bool hasRoom() const;

  kj::Promise<kj::Maybe<capnp::MessageReaderAndFds>> tryReadMessage(
      kj::ArrayPtr<kj::AutoCloseFd> fdSpace, capnp::ReaderOptions options,
      kj::ArrayPtr<capnp::word> scratchSpace) override;
  kj::Promise<void> writeMessage(
      kj::ArrayPtr<const int> fds,
      kj::ArrayPtr<const kj::ArrayPtr<const capnp::word>> segments) override;
  kj::Promise<void> writeMessages(
      kj::ArrayPtr<kj::ArrayPtr<const kj::ArrayPtr<const capnp::word>>> messages) override;
  kj::Maybe<int> getSendBufferSize() override { return nullptr; }  // a hint, for streaming calls
  kj::Promise<void> end() override;

private:
  using Read = kj::Promise<kj::Maybe<capnp::MessageReaderAndFds>>;

  size_t buffered() const { return limit_ - from_; }
  kj::Maybe<size_t> sizeOfNext(const capnp::ReaderOptions& options) const;
  kj::Promise<bool> readOn();
  Read readLarge(size_t bytes, const capnp::ReaderOptions& options);
  bool takeAside(kj::ArrayPtr<const capnp::word> words, const capnp::ReaderOptions& options);

  kj::AsyncIoStream& stream_;
  kj::Maybe<GatheringStream&> gathering_;  // the same, where it is one
  kj::Maybe<Aside> aside_;
  kj::Array<capnp::word> buffer_;
  size_t from_ = 0;  // bytes [from_, limit_) of buffer_ have been read and not taken
  size_t limit_ = 0;
  kj::Array<capnp::word> large_;  // the room of an aside that found none in buffer_, for the next
  std::vector<kj::byte> table_;   // of the message being written
  std::vector<kj::ArrayPtr<const kj::byte>> pieces_;
};

#pragma GCC diagnostic pop

// A connection's pipe, for those who may hold it for longer than the connection lives.
//
// Owner:  shared. Thread: the connection's loop. Errors: none.
struct SharedPipe final : kj::Refcounted {
  kj::Maybe<MessagePipe&> pipe;  // until the connection has gone
};

}  // namespace flotilla::client

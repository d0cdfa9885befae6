// Cap'n Proto messages over a byte stream, and messages beside those of RPC.
#include "sdk/client/message_pipe.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include <capnp/serialize.h>
#include <kj/debug.h>

#include "sdk/client/gathering_stream.h"

namespace flotilla::client {
namespace {

constexpr size_t kWordBytes = sizeof(capnp::word);
constexpr size_t kSegmentsMax = 512;                        // as capnp's own readers have it
constexpr size_t kLargeKeptWords = (2 << 20) / kWordBytes;  // as long as a host's frames mostly are

uint32_t littleEndian(const kj::byte* from) {
  return static_cast<uint32_t>(from[0]) | static_cast<uint32_t>(from[1]) << 8 |
         static_cast<uint32_t>(from[2]) << 16 | static_cast<uint32_t>(from[3]) << 24;
}

void putLittleEndian(kj::byte* to, uint32_t value) {
  for (int i = 0; i < 4; ++i) to[i] = static_cast<kj::byte>(value >> (8 * i));
}

// The table before the segments: how many but one, the words of each, and room up to a whole word.
size_t tableBytes(size_t segments) {
  return (segments / 2 + 1) * kWordBytes;
}

void putTable(std::vector<kj::byte>& to,
              kj::ArrayPtr<const kj::ArrayPtr<const capnp::word>> segments) {
  to.assign(tableBytes(segments.size()), 0);
  putLittleEndian(to.data(), static_cast<uint32_t>(segments.size() - 1));
  for (size_t i = 0; i < segments.size(); ++i) {
    putLittleEndian(to.data() + 4 * (i + 1), static_cast<uint32_t>(segments[i].size()));
  }
}

kj::Array<capnp::word> copyOf(kj::ArrayPtr<const capnp::word> words) {
  auto copy = kj::heapArray<capnp::word>(words.size());
  std::memcpy(copy.begin(), words.begin(), words.asBytes().size());
  return copy;
}

kj::Maybe<capnp::MessageReaderAndFds> messageOf(kj::Array<capnp::word> words,
                                                const capnp::ReaderOptions& options) {
  auto reader = kj::heap<capnp::FlatArrayMessageReader>(words.asPtr(), options);
  return capnp::MessageReaderAndFds{reader.attach(kj::mv(words)), nullptr};
}

}  // namespace

MessagePipe::MessagePipe(kj::AsyncIoStream& stream)
    : stream_(stream), gathering_(kj::dynamicDowncastIfAvailable<GatheringStream>(stream)) {}

// ---- reading -----------------------------------------------------------------------------------

// Null: too little of it is here to say.
kj::Maybe<size_t> MessagePipe::sizeOfNext(const capnp::ReaderOptions& options) const {
  if (buffered() < kWordBytes) return nullptr;
  const kj::byte* at = buffer_.asBytes().begin() + from_;
  size_t segments = size_t{littleEndian(at)} + 1;
  KJ_REQUIRE(segments < kSegmentsMax, "message of too many segments", segments);
  size_t table = tableBytes(segments);
  if (buffered() < table) return nullptr;
  uint64_t words = 0;
  for (size_t i = 0; i < segments; ++i) words += littleEndian(at + 4 * (i + 1));
  KJ_REQUIRE(words <= options.traversalLimitInWords, "message is larger than is taken here", words);
  return table + static_cast<size_t>(words) * kWordBytes;
}

kj::Promise<kj::Maybe<capnp::MessageReaderAndFds>> MessagePipe::tryReadMessage(
    kj::ArrayPtr<kj::AutoCloseFd> fdSpace, capnp::ReaderOptions options,
    kj::ArrayPtr<capnp::word> scratchSpace) {
  while (true) {
    size_t bytes = 0;
    KJ_IF_MAYBE (size, sizeOfNext(options)) {
      bytes = *size;
      if (bytes > buffer_.size() * kWordBytes) return readLarge(bytes, options);
    }
    if (bytes == 0 || buffered() < bytes) break;
    KJ_IF_MAYBE (stream, gathering_) {
      if (!stream->mayRead()) {
        return stream->whenMayRead().then([this, fdSpace, options, scratchSpace]() {
          return tryReadMessage(fdSpace, options, scratchSpace);
        });
      }
    }
    auto words = buffer_.slice(from_ / kWordBytes, (from_ + bytes) / kWordBytes);
    from_ += bytes;
    if (!takeAside(words, options)) return messageOf(copyOf(words), options);
  }
  return readOn().then([this, fdSpace, options, scratchSpace](bool more) -> Read {
    if (!more) return kj::Maybe<capnp::MessageReaderAndFds>(nullptr);
    return tryReadMessage(fdSpace, options, scratchSpace);
  });
}

// False: it is for RPC. An aside is taken where it lies.
bool MessagePipe::takeAside(kj::ArrayPtr<const capnp::word> words,
                            const capnp::ReaderOptions& options) {
  KJ_IF_MAYBE (aside, aside_) {
    capnp::FlatArrayMessageReader message(words, options);
    auto root = message.getRoot<capnp::rpc::Message>();
    if (!root.isObsoleteSave()) return false;
    (*aside)(root.getObsoleteSave());
    return true;
  }
  return false;
}

// False at the stream's end.
kj::Promise<bool> MessagePipe::readOn() {
  if (buffer_.size() == 0) {
    buffer_ = kj::heapArray<capnp::word>(kReadBufferBytes / kWordBytes);
  }
  kj::ArrayPtr<kj::byte> bytes = buffer_.asBytes();
  if (from_ != 0) std::memmove(bytes.begin(), bytes.begin() + from_, buffered());
  limit_ -= std::exchange(from_, 0);
  return stream_.tryRead(bytes.begin() + limit_, 1, bytes.size() - limit_).then([this](size_t got) {
    limit_ += got;
    bool cut = got == 0 && limit_ != 0;
    if (cut) kj::throwFatalException(KJ_EXCEPTION(DISCONNECTED, "ended within a message"));
    return got != 0;
  });
}

// One that has no room in the buffer: what is here of it, then the rest from the stream.
MessagePipe::Read MessagePipe::readLarge(size_t bytes, const capnp::ReaderOptions& options) {
  size_t count = bytes / kWordBytes;
  if (large_.size() < count) large_ = kj::heapArray<capnp::word>(count);
  kj::byte* to = large_.asBytes().begin();
  size_t here = std::min(buffered(), bytes);
  std::memcpy(to, buffer_.asBytes().begin() + from_, here);
  from_ += here;
  return stream_.read(to + here, bytes - here).then([this, options, count]() -> Read {
    if (!takeAside(large_.slice(0, count), options)) {
      return messageOf(kj::mv(large_), options);
    }
    if (large_.size() > kLargeKeptWords) large_ = nullptr;
    return tryReadMessage(nullptr, options, nullptr);
  });
}

// ---- writing -----------------------------------------------------------------------------------

// capnp::writeMessage makes a table for each message and keeps it in a promise, which costs the raw
// road a tenth. Ours and the pieces stay as they are until the stream has them: RPC writes one
// message after the other, and for asides the stream gathers.
kj::Promise<void> MessagePipe::writeMessage(
    kj::ArrayPtr<const int> fds, kj::ArrayPtr<const kj::ArrayPtr<const capnp::word>> segments) {
  KJ_REQUIRE(fds.size() == 0, "this stream carries no file descriptors");
  putTable(table_, segments);
  pieces_.clear();
  pieces_.push_back({table_.data(), table_.size()});
  for (auto segment : segments) pieces_.push_back(segment.asBytes());
  return stream_.write(kj::arrayPtr(pieces_.data(), pieces_.size()));
}

kj::Promise<void> MessagePipe::writeMessages(
    kj::ArrayPtr<kj::ArrayPtr<const kj::ArrayPtr<const capnp::word>>> messages) {
  kj::Promise<void> last = kj::READY_NOW;
  for (auto segments : messages) last = writeMessage(nullptr, segments);
  return last;
}

void MessagePipe::sendAside(capnp::MessageBuilder& message) {
  auto sent = writeMessage(nullptr, message.getSegmentsForOutput());
}

bool MessagePipe::hasRoom() const {
  KJ_IF_MAYBE (stream, gathering_) {
    return stream->unsentBytes() <= kUnsentBytesMax / 2;  // below it nobody waits for room
  }
  return true;
}

kj::Promise<void> MessagePipe::end() {
  stream_.shutdownWrite();
  return kj::READY_NOW;
}

}  // namespace flotilla::client

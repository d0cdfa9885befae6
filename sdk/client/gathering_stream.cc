// A byte stream that writes once a turn of the loop.
#include "sdk/client/gathering_stream.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include <kj/debug.h>

namespace flotilla::client {
namespace {

// Rooms for what waits to be written, shared by the streams of a thread: one that is idle has none,
// and one that writes much finds one that is warm and has grown.
class Rooms {
public:
  std::vector<kj::byte> take() {
    std::vector<kj::byte> room;
    if (!rooms_.empty()) {
      room = std::move(rooms_.back());
      rooms_.pop_back();
    }
    return room;
  }

  void giveBack(std::vector<kj::byte>& room) {
    room.clear();
    bool kept = room.capacity() != 0 && room.capacity() <= kRoomBytesMax;
    if (kept && rooms_.size() < kRoomsMax) {
      rooms_.push_back(std::move(room));
    }
    std::vector<kj::byte>().swap(room);
  }

private:
  static constexpr size_t kRoomsMax = 8;
  static constexpr size_t kRoomBytesMax = 1 << 20;

  std::vector<std::vector<kj::byte>> rooms_;
};

thread_local Rooms rooms;

}  // namespace

GatheringStream::GatheringStream(kj::Own<kj::AsyncIoStream> inner)
    : inner_(kj::mv(inner)), flushTask_(kj::READY_NOW), readTask_(kj::READY_NOW) {}

GatheringStream::~GatheringStream() noexcept(false) = default;

// ---- reading ---------------------------------------------------------------------------------

kj::Promise<size_t> GatheringStream::tryRead(void* buffer, size_t minBytes, size_t maxBytes) {
  if (mayRead()) return inner_->tryRead(buffer, minBytes, maxBytes);
  return whenMayRead().then(
      [this, buffer, minBytes, maxBytes] { return tryRead(buffer, minBytes, maxBytes); });
}

kj::Promise<void> GatheringStream::whenMayRead() {
  auto waiting = kj::newPromiseAndFulfiller<void>();
  readWanted_ = kj::mv(waiting.fulfiller);
  return kj::mv(waiting.promise);
}

bool GatheringStream::mayRead() {
  KJ_IF_MAYBE (mayRead, mayRead_) {
    return failed_ != nullptr || (*mayRead)();
  }
  return true;
}

// Whoever writes hears first that there is room.
void GatheringStream::readSoon() {
  if (readWanted_ == nullptr) return;
  readTask_ = kj::evalLast([this] {
                if (!mayRead()) return;
                KJ_IF_MAYBE (wanted, readWanted_) (*wanted)->fulfill();
                readWanted_ = nullptr;
              }).eagerlyEvaluate(nullptr);
}

void GatheringStream::abortRead() {
  inner_->abortRead();
}

// ---- writing ---------------------------------------------------------------------------------

kj::Promise<void> GatheringStream::write(const void* buffer, size_t size) {
  KJ_IF_MAYBE (exception, refusal()) {
    return kj::mv(*exception);
  }
  add({static_cast<const kj::byte*>(buffer), size});
  return accept();
}

kj::Promise<void> GatheringStream::write(kj::ArrayPtr<const kj::ArrayPtr<const kj::byte>> pieces) {
  KJ_IF_MAYBE (exception, refusal()) {
    return kj::mv(*exception);
  }
  for (kj::ArrayPtr<const kj::byte> piece : pieces) add(piece);
  return accept();
}

void GatheringStream::add(kj::ArrayPtr<const kj::byte> bytes) {
  if (pending_.capacity() == 0) pending_ = rooms.take();
  pending_.insert(pending_.end(), bytes.begin(), bytes.end());
}

// Why nothing can be written any more.
kj::Maybe<kj::Exception> GatheringStream::refusal() const {
  KJ_IF_MAYBE (exception, failed_) {
    return kj::cp(*exception);
  }
  if (shutdown_) return KJ_EXCEPTION(FAILED, "stream: written to after shutdownWrite");
  return nullptr;
}

// Answers for what was just added to pending_.
kj::Promise<void> GatheringStream::accept() {
  flushSoon();
  if (unsentBytes() <= kUnsentBytesMax) return kj::READY_NOW;
  auto waiting = kj::newPromiseAndFulfiller<void>();
  roomWanted_.push_back(kj::mv(waiting.fulfiller));
  return kj::mv(waiting.promise);
}

void GatheringStream::flushSoon() {
  if (stage_ == Stage::flying || pending_.empty()) return;
  bool now = shutdown_ || pending_.size() >= kFlushBytes;
  if (stage_ == Stage::planned && !now) return;
  stage_ = Stage::planned;
  // Replaces a planned flush by one that does not wait for the loop to be idle.
  // What the inner stream throws at once fails this one as what it rejects later does.
  flushTask_ = (now ? kj::evalNow([this] { return flush(); }) : kj::evalLast([this] {
                 return flush();
               })).eagerlyEvaluate([this](kj::Exception&& exception) { fail(kj::mv(exception)); });
}

kj::Promise<void> GatheringStream::flush() {
  stage_ = Stage::flying;
  flying_.swap(pending_);
  return inner_->write(flying_.data(), flying_.size()).then([this] { return onFlushed(); });
}

kj::Promise<void> GatheringStream::onFlushed() {
  rooms.giveBack(flying_);
  readSoon();
  if (unsentBytes() <= kUnsentBytesMax / 2) {
    for (auto& wanted : std::exchange(roomWanted_, {})) wanted->fulfill();
  }
  if (pending_.empty()) {
    stage_ = Stage::idle;
    if (shutdown_) inner_->shutdownWrite();
    return kj::READY_NOW;
  }
  if (shutdown_ || pending_.size() >= kFlushBytes) return flush();
  stage_ = Stage::planned;
  return kj::evalLast([this] { return flush(); });
}

void GatheringStream::shutdownWrite() {
  if (shutdown_) return;
  shutdown_ = true;
  if (failed_ != nullptr) return;
  if (unsentBytes() == 0) {
    inner_->shutdownWrite();
  } else {
    flushSoon();
  }
}

void GatheringStream::fail(kj::Exception&& exception) {
  stage_ = Stage::idle;
  rooms.giveBack(pending_);
  rooms.giveBack(flying_);
  for (auto& wanted : std::exchange(roomWanted_, {})) wanted->reject(kj::cp(exception));
  failed_ = kj::mv(exception);
  readSoon();
  inner_->abortRead();
}

kj::Promise<void> GatheringStream::whenWriteDisconnected() {
  if (failed_ != nullptr) return kj::READY_NOW;
  return inner_->whenWriteDisconnected();
}

// ---- the socket below --------------------------------------------------------------------------

void GatheringStream::getsockopt(int level, int option, void* value, kj::uint* length) {
  inner_->getsockopt(level, option, value, length);
}

void GatheringStream::setsockopt(int level, int option, const void* value, kj::uint length) {
  inner_->setsockopt(level, option, value, length);
}

void GatheringStream::getsockname(struct sockaddr* address, kj::uint* length) {
  inner_->getsockname(address, length);
}

void GatheringStream::getpeername(struct sockaddr* address, kj::uint* length) {
  inner_->getpeername(address, length);
}

kj::Maybe<int> GatheringStream::getFd() const {
  return inner_->getFd();
}

kj::Own<kj::AsyncIoStream> gathering(kj::Own<kj::AsyncIoStream> inner) {
  return kj::heap<GatheringStream>(kj::mv(inner));
}

}  // namespace flotilla::client

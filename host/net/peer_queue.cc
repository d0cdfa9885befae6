// Messages on their way to one host.
#include "host/net/peer_queue.h"

#include <algorithm>
#include <utility>

#include "host/net/codec.h"

namespace flotilla::net {
namespace {

// Votes, acknowledgements and heartbeats are small; without them groups lose their leaders.
constexpr uint64_t kShareOfOthers = 16;

bool isHeartbeat(const group::PeerMessage& message) {
  return message.message.kind == raft::MessageKind::heartbeat ||
         message.message.kind == raft::MessageKind::heartbeatReply;
}

}  // namespace

void PeerQueue::add(group::PeerMessage&& message) {
  uint64_t size = encodedBytes(message);
  uint64_t bytesMax = bytesMax_;
  if (message.message.kind == raft::MessageKind::append) {
    bytesMax -= bytesMax_ / kShareOfOthers;
  } else {
    while (bytes_ + size > bytesMax_ && !heartbeats_.empty()) {
      bytes_ -= heartbeats_.front().bytes;
      heartbeats_.pop_front();
      ++dropped_;
    }
  }
  // An empty queue takes a message of any size, or one append could never leave.
  if (bytes_ + size > bytesMax && !empty()) {
    ++dropped_;
    return;
  }
  bytes_ += size;
  std::deque<Waiting>& queue = isHeartbeat(message) ? heartbeats_ : others_;
  queue.push_back(Waiting{nextPlace_++, size, std::move(message)});
}

std::vector<group::PeerMessage> PeerQueue::take(uint64_t bytes, size_t countMax) {
  std::vector<group::PeerMessage> taken;
  taken.reserve(std::min(countMax, heartbeats_.size() + others_.size()));
  uint64_t takenBytes = 0;
  while (!empty() && taken.size() < countMax && takenBytes < bytes) {
    bool heartbeat = others_.empty() ||
                     (!heartbeats_.empty() && heartbeats_.front().place < others_.front().place);
    std::deque<Waiting>& queue = heartbeat ? heartbeats_ : others_;
    if (!taken.empty() && takenBytes + queue.front().bytes > 2 * bytes) break;
    takenBytes += queue.front().bytes;
    taken.push_back(std::move(queue.front().message));
    queue.pop_front();
  }
  bytes_ -= takenBytes;
  return taken;
}

void PeerQueue::clear() {
  dropped_ += heartbeats_.size() + others_.size();
  heartbeats_.clear();
  others_.clear();
  bytes_ = 0;
}

}  // namespace flotilla::net

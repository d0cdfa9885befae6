// Linearizable reads on their way.
#include "host/raft/read_queue.h"

#include <algorithm>
#include <utility>

namespace flotilla::raft {

bool ReadQueue::wantsRound() const {
  return std::any_of(reads_.begin(), reads_.end(),
                     [](const WaitingRead& read) { return read.index != 0 && read.round == 0; });
}

bool ReadQueue::inRound() const {
  return std::any_of(reads_.begin(), reads_.end(),
                     [](const WaitingRead& read) { return read.round != 0; });
}

void ReadQueue::giveIndex(Index commit) {
  for (WaitingRead& read : reads_) {
    if (read.index == 0) read.index = commit;
  }
}

void ReadQueue::giveRound(uint64_t round) {
  for (WaitingRead& read : reads_) {
    if (read.index != 0 && read.round == 0) read.round = round;
  }
}

template <typename Predicate>
std::vector<WaitingRead> ReadQueue::take(Predicate predicate) {
  std::vector<WaitingRead> taken;
  auto kept = std::remove_if(reads_.begin(), reads_.end(), [&](const WaitingRead& read) {
    if (!predicate(read)) return false;
    taken.push_back(read);
    return true;
  });
  reads_.erase(kept, reads_.end());
  return taken;
}

std::vector<WaitingRead> ReadQueue::takeConfirmed(uint64_t round) {
  return take([&](const WaitingRead& read) { return read.round != 0 && read.round <= round; });
}

std::vector<WaitingRead> ReadQueue::takeExpired(uint64_t now) {
  return take([&](const WaitingRead& read) { return read.until <= now; });
}

std::vector<WaitingRead> ReadQueue::takeAll() {
  return std::exchange(reads_, {});
}

std::optional<WaitingRead> ReadQueue::takeContext(uint64_t context) {
  auto read = std::find_if(reads_.begin(), reads_.end(),
                           [&](const WaitingRead& it) { return it.context == context; });
  if (read == reads_.end()) return std::nullopt;
  WaitingRead taken = *read;
  reads_.erase(read);
  return taken;
}

}  // namespace flotilla::raft

// Appends on their way out: given the bytes of the entries they name.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "host/group/ports.h"
#include "host/group/tail.h"
#include "host/raft/core.h"
#include "host/raft/message.h"

namespace flotilla::group {

// What an append names is in memory, and it leaves at once, or it waits for the disk. Appends to
// one peer keep their order: behind one that waits, the next ones wait too.
//
// Owner:  Group.
// Thread: its owner's.
// Errors: none; an append that cannot be filled any more is dropped, which Raft does not mind.
class Appends {
public:
  struct Limits {
    uint32_t waitingMax = 0;  // messages
    uint64_t bytesMax = 0;    // of one message, its first entry excepted
  };
  explicit Appends(Limits limits) : limits_(limits) {}

  // Fills the message from memory, shortened where its entries have more bytes than one message
  // may. Nothing: it has to wait (or was dropped, for too many do).
  std::optional<std::vector<LogEntry>> fill(raft::Message& message, const Tail& tail);

  bool any() const { return !waiting_.empty(); }  // that wait
  // True where entries for this peer wait: a bare append that overtook them would only be refused.
  bool waitsToSend(raft::ReplicaId peer) const;

  // The next fetch to be made, if there is one: its message's entries.
  std::optional<raft::Message> nextToFetch() const;
  void fetching(uint64_t fetch);  // that one, under this name

  // A message whose entries have come, to be sent now.
  struct Filled {
    raft::Message message;
    std::vector<LogEntry> entries;
  };
  bool waitsFor(uint64_t fetch) const;
  // The fetch's end. Nothing: the message is dropped, for its core does not lead that term any
  // more, or what came is not what the message names.
  std::optional<Filled> fetched(uint64_t fetch, std::vector<LogEntry> entries,
                                const raft::Core& core);
  // Messages behind one that has left, which memory can fill now.
  std::optional<Filled> nextFromMemory(const Tail& tail);
  void drop(uint64_t fetch);
  void dropPeer(raft::ReplicaId peer);
  // Entries after this index are wanted here; nothing: none are.
  std::optional<raft::Index> pinnedAfter() const;

private:
  struct Waits {
    uint64_t fetch = 0;  // 0: not asked for yet
    raft::Message message;
  };
  bool isFirstOfPeer(size_t place) const;
  std::optional<std::vector<LogEntry>> fromMemory(raft::Message& message, const Tail& tail) const;

  Limits limits_;
  std::vector<Waits> waiting_;
};

// True where `entries` begin as the append's runs say: the same indices and terms, one at least.
bool matchesRuns(const std::vector<LogEntry>& entries, const raft::Message& append);

}  // namespace flotilla::group

// What waits for the disk: writes under way, and the messages they hold back.
#pragma once

#include <cstddef>
#include <vector>

#include "host/raft/message.h"
#include "host/raft/types.h"

namespace flotilla::raft {

// Knows up to which index the log is safe on this disk, and keeps each message that promises
// something until what it promises is safe too.
//
// Owner:  Core.
// Thread: its owner's.
// Errors: none; a Persisted for a write that was never asked for is a bug.
class Holdback {
public:
  Holdback() = default;
  explicit Holdback(Index safe) : safe_(safe) {}

  // The log up to here is on the disk and would survive a power cut.
  Index safe() const { return safe_; }
  WriteId lastWrite() const { return lastWrite_; }
  bool idle() const { return pending_.empty(); }

  // A write has been asked for that leaves the log's last entry at `last`; `hard`: it changes term
  // or vote. Gives the write's name, and says what messages held since the last call wait for.
  WriteId begin(Index last, bool hard);
  // Entries after `last` are gone: no write of theirs may ever count for what takes their place.
  void truncateAfter(Index last);
  // A snapshot takes the whole log's place.
  void reset() { truncateAfter(0); }
  void persisted(WriteId write);

  // Keeps `message` until term and vote as of this step, and the log up to `log`, are safe. It
  // begins to count at `bind`, which the step calls at its end.
  void hold(Message message, Index log);
  void bind();
  // Moves what may leave now to `out`; of several acknowledgements to one leader only the last.
  void release(std::vector<Message>& out);
  // A new term has begun: what was to be said in the old one is not said any more.
  void dropHeld() { held_.clear(); }
  void rest();  // gives memory back that is kept for what comes next

private:
  struct Pending {
    WriteId id = 0;
    Index last = 0;  // the log's last entry as of this write, as far as it still stands
  };
  struct Held {
    Message message;
    Index log = 0;
    WriteId needs = 0;
    bool bound = false;
  };
  WriteId covering(Index log) const;

  std::vector<Pending> pending_;  // in order
  std::vector<Held> held_;        // in order
  WriteId lastWrite_ = 0;
  WriteId hardWrite_ = 0;  // the last write that changed term or vote
  WriteId persisted_ = 0;
  Index safe_ = 0;
};

}  // namespace flotilla::raft

// Puts a snapshot file together from what is here already and what another host sends.
#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <vector>

#include "flotilla/result.h"
#include "host/group/chunk.h"
#include "host/group/ports.h"
#include "host/group/snapshot.h"

namespace flotilla::group {

constexpr size_t kChunksAskedMax = 1024;

// A file on its way in, which stays when the way breaks off.
//
// Thread: the collector's.
// Errors: a Fault where it cannot be written.
class SnapshotPart : public SnapshotSink {
public:
  virtual Result<void> keepFirst(uint64_t bytes) = 0;  // the rest goes
};

// Chunks that lie here, in other files.
//
// Thread: the collector's.
// Errors: a chunk that is damaged, or cannot be read, is not here.
class ChunkDonors {
public:
  virtual ~ChunkDonors() = default;
  virtual bool has(const base::ContentName& name) = 0;
  // With the head that it lies here under: it may be packed otherwise than where it was asked for.
  virtual bool take(const base::ContentName& name, ChunkHead& head, std::string& stored) = 0;
};

// The sender tells the heads of all chunks in order, some at a time, is told which of them are
// wanted, and gives those before it tells the next. Each is checked before it is written, so what
// the part holds is good: after a broken way the same begins anew over the same part, and nothing
// that it holds is wanted again. A chunk that fails its checks ends the transfer by its number; the
// part is as good as before.
//
// Owner:  whoever receives; refers to part and donors.
// Thread: one at a time.
// Errors: unavailable for a damaged chunk, which may come whole the next time, badRequest for what
//         will not become better, and the part's own. After one, nothing more is taken.
class SnapshotCollector {
public:
  struct Wanted {
    uint64_t group = 0;
    raft::LogPoint point;
  };
  struct Counts {
    uint64_t kept = 0;    // chunks that the part had
    uint64_t copied = 0;  // from donors
    uint64_t received = 0;
    uint64_t receivedBytes = 0;
  };

  SnapshotCollector(SnapshotPart& part, ChunkDonors& donors, Wanted wanted)
      : part_(part), donors_(donors), wanted_(wanted) {}

  // First. `file` reads what the part holds.
  Result<void> begin(const ReadAt& file);
  // A byte for each head: 1 where it is to be given.
  Result<std::string> ask(std::string_view heads);
  // The stored bytes of the next ones that are wanted, whole.
  Result<void> give(std::string_view stored);
  // Well where the file is whole.
  Result<void> done();

  const Counts& counts() const { return counts_; }

private:
  struct Pending {
    ChunkHead head;
    bool wanted = false;
  };

  Result<void> settle();  // writes what is next and not wanted
  Result<void> write(const ChunkHead& head, std::string_view stored);
  Result<void> judge(const ChunkHead& head);  // bytes_ are its content
  Fault stop(ErrorCode code, const std::string& text);
  std::string nameOfNext() const;

  SnapshotPart& part_;
  ChunkDonors& donors_;
  const Wanted wanted_;
  std::deque<ChunkAt> had_;  // of the part, not yet asked for
  std::deque<Pending> pending_;
  std::string bytes_;
  std::string stored_;
  ChunkNames names_;  // of what is settled
  uint64_t groupBytes_ = 0;
  uint64_t machineBytes_ = 0;
  bool ended_ = false;
  bool stopped_ = false;
  Counts counts_;
};

}  // namespace flotilla::group

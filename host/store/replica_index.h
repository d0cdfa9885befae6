// Where in the row of frames each replica's entries and state lie.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "host/base/fifo.h"
#include "host/store/frame.h"

namespace flotilla::store {

// Neighbouring entries of one replica in one record.
struct IndexRun {
  raft::Index first = 0;
  uint64_t frame = 0;
  uint32_t count = 0;
  uint32_t skipped = 0;  // entries of the record before `first` that are dead
  uint32_t record = 0;   // its place in the frame's directory
  uint32_t bytes = 0;    // roughly, of the live entries

  raft::Index limit() const { return first + count; }
};

// One replica's part of the index.
struct ReplicaLog {
  base::Fifo<IndexRun> runs;  // by index, rising, never overlapping
  std::string state;          // as encoded; empty: none was read, or it was damaged
  std::string damage;         // why there is no state; empty where there is one
  uint64_t stateFrame = 0;    // of state or damage; 0: neither
  uint64_t bytes = 0;         // of runs

  // The run that holds `index`, or nothing.
  const IndexRun* find(raft::Index index) const;
  // Entries [first, last] are all somewhere.
  bool covers(raft::Index first, raft::Index last) const;
  uint64_t oldestFrame() const;  // the oldest still needed; UINT64_MAX: none
};

// Fed with the records of each frame in order, alike when a frame was just synced and when it is
// read at open, so both give the same index.
//
// Owner:  VolumeWriter.
// Thread: the volume's.
// Errors: none.
class ReplicaIndex {
public:
  // `body` is the record's, of a state or damage; `record` its place in the directory.
  void apply(uint64_t frame, const Record& line, uint32_t record, std::string_view body);
  // What apply does for a state record whose body fails its checksum.
  void damageState(uint64_t frame, group::ReplicaKey key, std::string why);
  // The run does not read back: it is not part of the index any more.
  void dropRun(group::ReplicaKey key, raft::Index first);

  const ReplicaLog* find(group::ReplicaKey key) const;
  const std::map<group::ReplicaKey, ReplicaLog>& replicas() const { return replicas_; }
  uint64_t liveBytes() const { return liveBytes_; }
  uint64_t oldestFrame() const;              // over all replicas; UINT64_MAX: nothing is needed
  uint64_t bytesUpTo(uint64_t frame) const;  // of what is needed at or below `frame`
  // Replicas that need a frame at or below `frame`.
  std::vector<group::ReplicaKey> needing(uint64_t frame) const;

private:
  void cutAfter(ReplicaLog& log, raft::Index last);
  void cutBefore(ReplicaLog& log, raft::Index first);
  void append(ReplicaLog& log, const IndexRun& run);
  void place(ReplicaLog& log, const IndexRun& run);
  void charge(ReplicaLog& log, uint64_t add, uint64_t remove);

  std::map<group::ReplicaKey, ReplicaLog> replicas_;
  uint64_t liveBytes_ = 0;
};

}  // namespace flotilla::store

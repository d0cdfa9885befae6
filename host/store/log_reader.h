// Reads entries back, from frames on disk and from writes that still wait.
#pragma once

#include <deque>
#include <variant>
#include <vector>

#include "flotilla/result.h"
#include "host/group/ports.h"
#include "host/store/frame_row.h"
#include "host/store/replica_index.h"

namespace flotilla::store {

struct Forget {};

// What was submitted to a volume.
struct VolumeItem {
  group::ReplicaKey key;
  std::variant<group::DiskWrite, group::DiskFetch, Forget> what;
  uint64_t bytes = 0;  // what it counts in queuedBytes
};

// "group 7 replica 2": how texts name a replica.
std::string nameOf(group::ReplicaKey key);

// Owner:  VolumeWriter; refers to its row and index.
// Thread: the volume's.
// Errors: unavailable where the entries are not in the log; corrupt where they should be and do not
//         read back.
class LogReader {
public:
  LogReader(const FrameRow& row, const ReplicaIndex& index) : row_(row), index_(index) {}

  // As last submitted: `waiting` are the items not yet on disk, in order.
  Result<std::vector<group::LogEntry>> read(group::ReplicaKey key, const group::DiskFetch& fetch,
                                            const std::deque<VolumeItem>& waiting) const;

private:
  const FrameRow& row_;
  const ReplicaIndex& index_;
};

}  // namespace flotilla::store

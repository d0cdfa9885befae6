// Chunks of snapshots that lie on this disk, by their names.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "flotilla/result.h"
#include "host/group/snapshot_collector.h"
#include "host/store/files.h"

namespace flotilla::store {

// Reads the heads of some files once; a chunk's own bytes when it is asked for. The files may be
// removed meanwhile.
//
// Owner:  whoever receives a snapshot.
// Thread: one at a time; calls wait for the disk.
// Errors: a file that cannot be read has no chunks.
class ChunkShelf final : public group::ChunkDonors {
public:
  explicit ChunkShelf(const std::vector<std::string>& paths);

  bool has(const base::ContentName& name) override;
  bool take(const base::ContentName& name, group::ChunkHead& head, std::string& stored) override;
  size_t size() const { return chunks_.size(); }

private:
  struct Place {
    group::ChunkAt chunk;
    size_t file = 0;
  };

  std::vector<FileDescriptor> files_;
  std::map<base::ContentName, Place> chunks_;
};

}  // namespace flotilla::store

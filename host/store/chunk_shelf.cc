// Chunks of snapshots that lie on this disk.
#include "host/store/chunk_shelf.h"

#include <fcntl.h>

namespace flotilla::store {

ChunkShelf::ChunkShelf(const std::vector<std::string>& paths) {
  for (const std::string& path : paths) {
    auto file = openFile(path, O_RDONLY);
    if (!file) continue;
    auto chunks = group::listChunks([&](uint64_t offset, char* to, size_t size) {
      return readUpTo(*file, path, offset, to, size);
    });
    if (!chunks || chunks->empty()) continue;
    for (const group::ChunkAt& each : *chunks) {
      chunks_.insert_or_assign(each.head.name, Place{each, files_.size()});
    }
    files_.push_back(std::move(*file));
  }
}

bool ChunkShelf::has(const base::ContentName& name) {
  group::ChunkHead head;
  std::string stored;
  return chunks_.count(name) != 0 && take(name, head, stored);
}

bool ChunkShelf::take(const base::ContentName& name, group::ChunkHead& head, std::string& stored) {
  auto found = chunks_.find(name);
  if (found == chunks_.end()) return false;
  const Place& place = found->second;
  head = place.chunk.head;
  stored.resize(head.stored);
  auto got =
      readUpTo(files_[place.file], "snapshot", place.chunk.offset, stored.data(), stored.size());
  return got && *got == stored.size() && group::sumHolds(head, stored);
}

}  // namespace flotilla::store

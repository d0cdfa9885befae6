// LevelDB's files, with journals that are laid out ahead of what is written to them.
#pragma once

#include <atomic>
#include <cstdint>
#include <string>

#include <leveldb/env.h>

namespace flotilla::store {

// A file that grows has its file system's own journal written with each sync. A journal (*.log) is
// made as a file of zeros here, synced, and then written over, past the page cache: a sync writes
// the data and nothing else, hosts that share a disk do not wait for one another, and the kernel
// neither looks for pages nor copies into them. LevelDB reads a journal's zeros as its end.
//
// What is appended stays in memory until a sync or a close: then it is one write, not one for each
// 32 KiB block. So it must not be used where writes are not synced.
//
// Owner:  the databases' owner; outlives them.
// Thread: any.
// Errors: where there is little space, or none, a journal begins empty and grows as any other.
class JournalEnv final : public leveldb::EnvWrapper {
public:
  JournalEnv() : EnvWrapper(leveldb::Env::Default()) {}

  // How many zeros journals begin with that are made from now on; 0, as at first: none.
  void layOut(uint64_t bytes) { bytes_.store(bytes, std::memory_order_relaxed); }

  leveldb::Status NewWritableFile(const std::string& path, leveldb::WritableFile** file) override;

private:
  std::atomic<uint64_t> bytes_{0};
};

}  // namespace flotilla::store

// LevelDB's files, with journals that are laid out ahead of what is written to them.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <string>

#include <leveldb/env.h>

#include "flotilla/result.h"

namespace flotilla::store {

// A file that grows has its file system's own journal written with each sync. A journal (*.log) is
// made as a file of zeros here, synced, and then written over, past the page cache: a sync writes
// the data and nothing else, hosts that share a disk do not wait for one another, and the kernel
// neither looks for pages nor copies into them.
//
// Where there is a spare (`keepJournals`) it is written over as it is: making zeros is as much work
// for the disk as all that is written to them. So that nothing of the old can be taken for the new,
// a journal's bytes are masked (exclusive or) by its directory's and its own name, and read by the
// same: what another one left behind fails LevelDB's checksums, as spoilt bytes do, and is its end.
// So a name whose journal became a spare must not come again.
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

  // How long journals are at least that are made from now on; 0, as at first: they begin empty.
  void layOut(uint64_t bytes) { bytes_.store(bytes, std::memory_order_relaxed); }

  leveldb::Status NewWritableFile(const std::string& path, leveldb::WritableFile** file) override;
  leveldb::Status NewSequentialFile(const std::string& path,
                                    leveldb::SequentialFile** file) override;

private:
  std::atomic<uint64_t> bytes_{0};
};

// Journals of databases that are gone lie in the directory above theirs as spare-1.log … until
// they are written over.
inline constexpr uint64_t kSparesMax = 4;  // a snapshot of a busy group lets about so many go
// Moves the journals of `database` there, which must be closed: those of `bytesMin` to twice so
// many bytes, as long as there are places. Not on more than one thread. False: there is little room
// on the disk, and there are to be no spares.
bool keepJournals(const std::string& database, uint64_t bytesMin);
// A piece at a time, with `pause` after each as freeBlocks has it.
Result<void> removeSpares(const std::string& directory, const std::function<bool()>& pause);

}  // namespace flotilla::store

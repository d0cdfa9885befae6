// The Env of all machines' databases of a volume.
#pragma once

#include <string>

#include <leveldb/env.h>

#include "host/store/own_env.h"

namespace flotilla::store {

// One background thread for all of them, however many there are. Tables are read by pread and not
// mapped: a bad sector is then a failed read of one replica and no signal that ends the process,
// and memory is what the block cache takes. A new journal's name is synced, which LevelDB leaves to
// the file system.
//
// Owner:  MachinePlaces; outlives the databases.
// Thread: any.
// Errors: the system's.
class MachineEnv final : public leveldb::EnvWrapper {
public:
  MachineEnv() : EnvWrapper(&own_), own_(nullptr, OwnEnv::Removal::removes) {}

  leveldb::Status NewRandomAccessFile(const std::string& path,
                                      leveldb::RandomAccessFile** file) override;
  leveldb::Status NewWritableFile(const std::string& path, leveldb::WritableFile** file) override;

private:
  OwnEnv own_;
};

}  // namespace flotilla::store

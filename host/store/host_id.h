// Who a data directory belongs to, how often it was booted, and that one process alone has it.
#pragma once

#include <cstdint>
#include <string>

#include "flotilla/result.h"
#include "host/store/files.h"

namespace flotilla::store {

// DATA_DIR/host.id: a text file of "key value" lines with a checksum.
struct HostId {
  static constexpr uint32_t kFormat = 2;  // read up to here

  uint64_t host = 0;        // never reused
  std::string birth;        // 128 random bits, 32 hex digits: another disk is another birth
  std::string clusterName;  // one line
  std::string clusterId;    // hash of the founding record, hex; empty before the founding
  // 2: snapshots here may hold answers saved as runs. A build that reads up to 1 would load the
  // first of each, and does not start.
  uint32_t format = 1;

  bool operator==(const HostId&) const = default;
};

// The first start: makes the directory and a fresh birth. Refuses where a host.id is, or where a
// host has been. host.id itself is written by keepHostId, once all else is there: a directory
// with a host.id is whole.
Result<HostId> newHostId(const std::string& dataDir, uint64_t host, const std::string& clusterName);
Result<void> keepHostId(const std::string& dataDir, const HostId& id);
// Every other start: ErrorCode::corrupt where the file is missing or damaged.
Result<HostId> readHostId(const std::string& dataDir);
// Replaces it whole (founding, a newer format): host and birth must be those that are there.
Result<void> updateHostId(const std::string& dataDir, const HostId& id);

// The number of this start, from 1, one higher at each call; synced.
Result<uint64_t> nextBoot(const std::string& dataDir);

// 128 random bits as 32 hex digits.
Result<std::string> randomHex128();

// DATA_DIR/lock, held as long as this lives: a second process is told who has it.
//
// Owner:  runtime; outlives all that has files in the directory.
// Thread: any.
// Errors: take() answers `denied` where another process holds it.
class DataLock {
public:
  static Result<DataLock> take(const std::string& dataDir);

private:
  explicit DataLock(FileDescriptor file) : file_(std::move(file)) {}
  FileDescriptor file_;
};

}  // namespace flotilla::store

// A number that only rises, written beside a log after each sync and never synced itself.
#pragma once

#include <cstdint>
#include <string>

#include "flotilla/result.h"
#include "host/store/files.h"

namespace flotilla::store {

// "Synced through N." A LevelDB journal that lost its end looks like one whose end was never
// written; the mark tells the two apart. Being unsynced it costs no disk access; after a power cut
// it may lag, which only makes it say less, and after a killed process it is exact.
//
// Two slots in two blocks are written in turn, so at most one is torn.
//
// Owner:  the log beside which it lies.
// Thread: one at a time.
// Errors: open answers corrupt where the file is missing or both slots are damaged.
class MarkFile {
public:
  static Result<MarkFile> create(const std::string& path);  // value 0, synced
  static Result<MarkFile> open(const std::string& path);

  uint64_t value() const { return value_; }
  Result<void> set(uint64_t value);  // not below value()
  Result<void> sync();

private:
  MarkFile(FileDescriptor file, std::string path)
      : file_(std::move(file)), path_(std::move(path)) {}
  Result<void> writeSlot(uint64_t value);

  FileDescriptor file_;
  std::string path_;
  uint64_t value_ = 0;
  uint64_t slot_ = 0;  // the one to be written next
};

}  // namespace flotilla::store

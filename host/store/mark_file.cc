// A number that only rises, written beside a log after each sync and never synced itself.
#include "host/store/mark_file.h"

#include <algorithm>
#include <fcntl.h>

#include "host/base/assert.h"
#include "host/base/checksum.h"
#include "host/store/packing.h"

namespace flotilla::store {

namespace {

constexpr uint64_t kMagic = 0x6b72616d746c6661;
constexpr uint64_t kSlotBytes = 4096;  // a block each, so that one torn write spares the other
constexpr size_t kRecordBytes = 24;

}  // namespace

Result<MarkFile> MarkFile::create(const std::string& path) {
  auto file = openFile(path, O_RDWR | O_CREAT | O_TRUNC);
  if (!file) return file.fault();
  MarkFile mark(std::move(*file), path);
  std::string blank(2 * kSlotBytes, '\0');
  if (auto wrote = writeAll(mark.file_, path, blank); !wrote) return wrote.fault();
  for (int i = 0; i < 2; ++i) {
    if (auto wrote = mark.writeSlot(0); !wrote) return wrote.fault();
  }
  if (auto synced = mark.sync(); !synced) return synced.fault();
  if (auto synced = syncDirectory(parentOf(path)); !synced) return synced.fault();
  return mark;
}

Result<MarkFile> MarkFile::open(const std::string& path) {
  auto bytes = readWhole(path, 2 * kSlotBytes);
  if (!bytes) return bytes.fault();
  auto file = openFile(path, O_RDWR);
  if (!file) return file.fault();
  MarkFile mark(std::move(*file), path);
  bool found = false;
  for (uint64_t slot = 0; slot < 2 && bytes->size() == 2 * kSlotBytes; ++slot) {
    std::string_view record = std::string_view(*bytes).substr(slot * kSlotBytes, kRecordBytes);
    Unpacker in(record);
    uint64_t magic = in.fixed64();
    uint64_t value = in.fixed64();
    if (magic != kMagic || in.fixed64() != base::checksum(record.substr(0, 16))) continue;
    if (!found || value > mark.value_) {
      mark.value_ = value;
      mark.slot_ = 1 - slot;  // the other one is the older, or the torn one
    }
    found = true;
  }
  if (!found) {
    return Fault{ErrorCode::corrupt, path + ": neither of its two slots passes its checksum", {}};
  }
  return mark;
}

Result<void> MarkFile::writeSlot(uint64_t value) {
  std::string record;
  putFixed64(record, kMagic);
  putFixed64(record, value);
  putFixed64(record, base::checksum(record));
  auto wrote = writeAt(file_, path_, record, slot_ * kSlotBytes);
  slot_ = 1 - slot_;
  return wrote;
}

Result<void> MarkFile::set(uint64_t value) {
  ASSERT(value >= value_);
  value_ = value;
  return writeSlot(value);
}

Result<void> MarkFile::sync() {
  return syncFile(file_, path_);
}

}  // namespace flotilla::store

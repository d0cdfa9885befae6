// The Env of all machines' databases of a volume.
#include "host/store/machine_env.h"

#include <fcntl.h>

#include "host/store/files.h"

namespace flotilla::store {
namespace {

using leveldb::Status;

// Thread: any. Errors: a Status with path and reason.
class TableFile final : public leveldb::RandomAccessFile {
public:
  TableFile(FileDescriptor file, std::string path)
      : file_(std::move(file)), path_(std::move(path)) {}

  Status Read(uint64_t offset, size_t size, leveldb::Slice* result, char* scratch) const override {
    auto got = readUpTo(file_, path_, offset, scratch, size);
    if (!got) return Status::IOError(got.fault().text);
    *result = leveldb::Slice(scratch, *got);
    return Status::OK();
  }

private:
  FileDescriptor file_;
  std::string path_;
};

bool isJournal(const std::string& path) {
  return path.size() > 4 && path.compare(path.size() - 4, 4, ".log") == 0;
}

}  // namespace

// A table that is not there is never "not found": DB::Get would hand that on as its word on the
// row.
Status MachineEnv::NewRandomAccessFile(const std::string& path, leveldb::RandomAccessFile** file) {
  auto opened = openFile(path, O_RDONLY);
  if (!opened) return Status::IOError(opened.fault().text);
  *file = new TableFile(std::move(*opened), path);  // LevelDB's own: it deletes it
  return Status::OK();
}

Status MachineEnv::NewWritableFile(const std::string& path, leveldb::WritableFile** file) {
  Status made = target()->NewWritableFile(path, file);
  if (!made.ok() || !isJournal(path)) return made;
  if (auto synced = syncDirectory(parentOf(path)); !synced) {
    delete *file;
    *file = nullptr;
    return Status::IOError(synced.fault().text);
  }
  return made;
}

}  // namespace flotilla::store

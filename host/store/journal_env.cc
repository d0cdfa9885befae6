// LevelDB's files, with journals that are laid out ahead of what is written to them.
#include "host/store/journal_env.h"

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <memory>
#include <new>
#include <string_view>
#include <system_error>
#include <unistd.h>
#include <utility>

#include "host/store/files.h"

namespace flotilla::store {

namespace {

using leveldb::Status;

constexpr uint64_t kBlockBytes = 4096;      // what direct writes begin and end at
constexpr uint64_t kGatheredMax = 1 << 20;  // of what is appended, then it is written
constexpr uint64_t kFreeTimes = 4;          // a disk with less room than so many journals is spared
constexpr useconds_t kPauseUs = 4000;       // after each MiB of zeros, that frames come between

Status failed(const std::string& path, int errorNumber) {
  return Status::IOError(path, std::generic_category().message(errorNumber));
}

uint64_t roundedUp(uint64_t bytes, uint64_t block) {
  return (bytes + block - 1) / block * block;
}

// Memory that begins where a block may.
struct Blocks {
  explicit Blocks(uint64_t bytes)
      : start(static_cast<char*>(std::aligned_alloc(kBlockBytes, bytes)), std::free) {
    if (start == nullptr) throw std::bad_alloc();
    std::memset(start.get(), 0, bytes);
  }
  std::unique_ptr<char, void (*)(void*)> start;
};

// Owner:  LevelDB.
// Thread: one at a time.
// Errors: a failed write or sync is LevelDB's to answer; it takes no more after it.
class JournalFile final : public leveldb::WritableFile {
public:
  // With `block` other than 1 the file was opened for direct writes.
  JournalFile(FileDescriptor file, std::string path, uint64_t block)
      : file_(std::move(file)), path_(std::move(path)), block_(block) {}
  ~JournalFile() override { Close(); }

  Status Append(const leveldb::Slice& bytes) override {
    std::string_view left(bytes.data(), bytes.size());
    while (!left.empty()) {
      if (held_ == kGatheredMax) {
        if (Status status = write(); !status.ok()) return status;
      }
      size_t count = std::min<size_t>(left.size(), kGatheredMax - held_);
      std::memcpy(gathered_.start.get() + held_, left.data(), count);
      held_ += count;
      isWritten_ = false;
      left.remove_prefix(count);
    }
    return Status::OK();
  }
  Status Flush() override { return Status::OK(); }
  Status Sync() override {
    if (Status status = write(); !status.ok()) return status;
    return ::fdatasync(file_.get()) == 0 ? Status::OK() : failed(path_, errno);
  }
  Status Close() override {
    if (!file_.valid()) return Status::OK();
    Status status = write();
    file_ = FileDescriptor();
    return status;
  }

private:
  // A last block that is not full is written as it is, zeros behind it, and again with what
  // follows.
  Status write() {
    if (isWritten_) return Status::OK();
    char* start = gathered_.start.get();
    uint64_t whole = roundedUp(held_, block_);
    std::memset(start + held_, 0, whole - held_);
    for (uint64_t done = 0; done < whole;) {
      ssize_t count =
          ::pwrite(file_.get(), start + done, whole - done, static_cast<off_t>(at_ + done));
      if (count < 0 && errno == EINTR) continue;
      if (count < 0) return failed(path_, errno);
      done += static_cast<uint64_t>(count);
    }
    uint64_t full = held_ / block_ * block_;
    std::memmove(start, start + full, held_ - full);
    at_ += full;
    held_ -= full;
    isWritten_ = true;
    return Status::OK();
  }

  FileDescriptor file_;
  std::string path_;
  uint64_t block_;
  Blocks gathered_{kGatheredMax};
  uint64_t held_ = 0;      // bytes in it
  uint64_t at_ = 0;        // where they go: at a block's start
  bool isWritten_ = true;  // what is held is in the file, too: the beginning of its last block
};

// False where there is no room for them; some may be there.
bool fillWithZeros(const FileDescriptor& file, const std::string& path, uint64_t bytes) {
  auto left = freeBytes(path);
  if (!left || *left < kFreeTimes * bytes) return false;
  Blocks zeros(kGatheredMax);
  for (uint64_t at = 0; at < bytes; at += kGatheredMax) {
    if (at != 0) ::usleep(kPauseUs);
    std::string_view some(zeros.start.get(), std::min(kGatheredMax, bytes - at));
    if (!writeAt(file, path, some, at) || !syncFile(file, path)) return false;
  }
  return true;
}

bool isJournal(const std::string& path) {
  return path.size() > 4 && path.compare(path.size() - 4, 4, ".log") == 0;
}

}  // namespace

Status JournalEnv::NewWritableFile(const std::string& path, leveldb::WritableFile** file) {
  uint64_t bytes = roundedUp(bytes_.load(std::memory_order_relaxed), kBlockBytes);
  if (bytes == 0 || !isJournal(path)) return target()->NewWritableFile(path, file);
  constexpr int kFlags = O_RDWR | O_CREAT | O_TRUNC;
  uint64_t block = kBlockBytes;
  auto opened = openFile(path, kFlags | O_DIRECT);
  if (opened && !fillWithZeros(*opened, path, bytes)) opened = Fault{};
  if (!opened) {  // no room, or a file system without direct writes
    block = 1;
    opened = openFile(path, kFlags);
    if (!opened) return Status::IOError(opened.fault().text);
    if (!fillWithZeros(*opened, path, bytes) && ::ftruncate(opened->get(), 0) != 0) {
      return failed(path, errno);
    }
  }
  *file = new JournalFile(std::move(*opened), path, block);  // LevelDB's own: it deletes it
  return Status::OK();
}

}  // namespace flotilla::store

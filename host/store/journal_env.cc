// LevelDB's files, with journals that are laid out ahead of what is written to them.
#include "host/store/journal_env.h"

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <memory>
#include <new>
#include <optional>
#include <string_view>
#include <sys/stat.h>
#include <system_error>
#include <unistd.h>
#include <utility>

#include "host/base/checksum.h"
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

// What a journal's bytes are masked with: eight bytes, again and again from its start.
class Mask {
public:
  // By the last two names of its path, for a volume may be moved.
  explicit Mask(std::string_view path) {
    size_t above = path.rfind('/', path.rfind('/') - 1);
    key_ = base::checksum(above == std::string_view::npos ? path : path.substr(above + 1));
  }
  // Of what lies, or will lie, from `at` on; `to` may be where `from` is.
  void apply(uint64_t at, std::string_view from, char* to) const {
    uint64_t key = std::rotr(key_, static_cast<int>(at % sizeof key * 8));
    size_t i = 0;
    for (Words words{}; i + sizeof words <= from.size(); i += sizeof words) {
      std::memcpy(&words, from.data() + i, sizeof words);
      words ^= key;  // each word
      std::memcpy(to + i, &words, sizeof words);
    }
    for (uint64_t word = 0; i + sizeof word <= from.size(); i += sizeof word) {
      std::memcpy(&word, from.data() + i, sizeof word);
      word ^= key;
      std::memcpy(to + i, &word, sizeof word);
    }
    for (; i < from.size(); ++i, key >>= 8) {
      to[i] = static_cast<char>(from[i] ^ static_cast<char>(key));
    }
  }

private:
  using Words = uint64_t __attribute__((vector_size(64)));  // so much at a time

  uint64_t key_;
};

// Owner:  LevelDB.
// Thread: one at a time.
// Errors: its file's.
class MaskedReader final : public leveldb::SequentialFile {
public:
  MaskedReader(std::unique_ptr<leveldb::SequentialFile> file, Mask mask)
      : file_(std::move(file)), mask_(mask) {}

  Status Read(size_t count, leveldb::Slice* result, char* scratch) override {
    Status status = file_->Read(count, result, scratch);
    mask_.apply(at_, {result->data(), result->size()}, scratch);
    at_ += result->size();
    *result = leveldb::Slice(scratch, result->size());
    return status;
  }
  Status Skip(uint64_t count) override {
    at_ += count;
    return file_->Skip(count);
  }

private:
  std::unique_ptr<leveldb::SequentialFile> file_;
  Mask mask_;
  uint64_t at_ = 0;
};

// Owner:  LevelDB.
// Thread: one at a time.
// Errors: a failed write or sync is LevelDB's to answer; it takes no more after it.
class JournalFile final : public leveldb::WritableFile {
public:
  // With `block` other than 1 the file was opened for direct writes.
  JournalFile(FileDescriptor file, std::string path, uint64_t block)
      : file_(std::move(file)), path_(std::move(path)), mask_(path_), block_(block) {}
  ~JournalFile() override { Close(); }

  Status Append(const leveldb::Slice& bytes) override {
    std::string_view left(bytes.data(), bytes.size());
    while (!left.empty()) {
      if (held_ == kGatheredMax) {
        if (Status status = write(); !status.ok()) return status;
      }
      size_t count = std::min<size_t>(left.size(), kGatheredMax - held_);
      mask_.apply(at_ + held_, left.substr(0, count), gathered_.start.get() + held_);
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
  Mask mask_;
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

std::string sparePath(const std::string& directory, uint64_t place) {
  return directory + "/spare-" + std::to_string(place) + ".log";
}

// One that somebody else has, too, such as a copy by links, is nothing to be written over.
bool isSpare(const std::string& path, uint64_t bytesMin) {
  struct stat about;
  return ::stat(path.c_str(), &about) == 0 && about.st_nlink == 1 &&
         static_cast<uint64_t>(about.st_size) >= bytesMin;
}

// Ready to be written, in blocks of what size.
struct Opened {
  FileDescriptor file;
  uint64_t block = 1;
};

// Directly where that does: a file system may open a file so and then refuse to write.
std::optional<Opened> openSpare(const std::string& path) {
  Blocks first(kBlockBytes);
  auto direct = openFile(path, O_RDWR | O_DIRECT);
  if (direct && writeAt(*direct, path, {first.start.get(), kBlockBytes}, 0)) {
    return Opened{std::move(*direct), kBlockBytes};
  }
  auto opened = openFile(path, O_RDWR);
  if (!opened) return std::nullopt;
  return Opened{std::move(*opened), 1};
}

std::optional<Opened> takeSpare(const std::string& path, uint64_t bytesMin) {
  std::string above = parentOf(parentOf(path));
  for (uint64_t place = 1; place <= kSparesMax; ++place) {
    std::string spare = sparePath(above, place);
    if (!isSpare(spare, bytesMin)) continue;
    auto opened = openSpare(spare);
    if (opened && ::rename(spare.c_str(), path.c_str()) == 0) return opened;
  }
  return std::nullopt;
}

}  // namespace

bool keepJournals(const std::string& database, uint64_t bytesMin) {
  std::string above = parentOf(database);
  auto names = listDirectory(database);
  auto left = freeBytes(database);
  if (!names || !left || *left < kFreeTimes * bytesMin) return false;
  uint64_t place = 1;
  for (const std::string& name : *names) {
    std::string journal = database + "/" + name;
    if (!isJournal(name) || !isSpare(journal, bytesMin) || isSpare(journal, 2 * bytesMin)) continue;
    while (place <= kSparesMax && exists(sparePath(above, place))) ++place;
    if (place > kSparesMax) break;
    ::rename(journal.c_str(), sparePath(above, place).c_str());  // or it goes with the others
  }
  return true;
}

Result<void> removeSpares(const std::string& directory, const std::function<bool()>& pause) {
  for (uint64_t place = 1; place <= kSparesMax; ++place) {
    auto blocks = removeName(sparePath(directory, place));
    if (!blocks) return blocks.fault();
    freeBlocks(std::move(*blocks), pause);
  }
  return {};
}

Status JournalEnv::NewWritableFile(const std::string& path, leveldb::WritableFile** file) {
  if (!isJournal(path)) return target()->NewWritableFile(path, file);
  uint64_t bytes = roundedUp(bytes_.load(std::memory_order_relaxed), kBlockBytes);
  uint64_t block = kBlockBytes;
  if (bytes != 0) {
    if (auto spare = takeSpare(path, bytes)) {
      // LevelDB's own: it deletes it.
      *file = new JournalFile(std::move(spare->file), path, spare->block);
      return Status::OK();
    }
  }
  constexpr int kFlags = O_RDWR | O_CREAT | O_TRUNC;
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
  *file = new JournalFile(std::move(*opened), path, block);
  return Status::OK();
}

Status JournalEnv::NewSequentialFile(const std::string& path, leveldb::SequentialFile** file) {
  Status status = target()->NewSequentialFile(path, file);
  if (!status.ok() || !isJournal(path)) return status;
  std::unique_ptr<leveldb::SequentialFile> raw(*file);
  *file = new MaskedReader(std::move(raw), Mask(path));  // LevelDB's own, too
  return status;
}

}  // namespace flotilla::store

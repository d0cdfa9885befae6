// A LevelDB Env whose disk fails on request and forgets what was not synced.
#include "tests/store/faulty_env.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>

namespace flotilla::test {

namespace {

using leveldb::Status;

class FaultyFile final : public leveldb::WritableFile {
public:
  FaultyFile(FaultyEnv& env, std::string path, leveldb::WritableFile* file)
      : env_(env), path_(std::move(path)), file_(file) {}

  Status Append(const leveldb::Slice& bytes) override {
    Status status = env_.appending(path_, bytes.size());
    if (!status.ok()) {
      file_->Append(leveldb::Slice(bytes.data(), bytes.size() / 2));
      return status;
    }
    return file_->Append(bytes);
  }
  Status Close() override { return file_->Close(); }
  Status Flush() override { return file_->Flush(); }
  Status Sync() override {
    Status status = file_->Flush();
    if (status.ok()) status = env_.syncing(path_);
    return status.ok() ? file_->Sync() : status;
  }

private:
  FaultyEnv& env_;
  std::string path_;
  std::unique_ptr<leveldb::WritableFile> file_;
};

}  // namespace

void FaultyEnv::setFull(bool full) {
  std::lock_guard lock(mutex_);
  full_ = full;
}

void FaultyEnv::setFullBeside(std::string path) {
  std::lock_guard lock(mutex_);
  fullBeside_ = std::move(path);
}

bool FaultyEnv::isFull() const {
  return full_ || (!fullBeside_.empty() && std::filesystem::exists(fullBeside_));
}

void FaultyEnv::failSyncAfter(uint64_t count) {
  std::lock_guard lock(mutex_);
  failFrom_ = syncs_ + count;
}

uint64_t FaultyEnv::syncs() const {
  std::lock_guard lock(mutex_);
  return syncs_;
}

Status FaultyEnv::appending(const std::string& path, uint64_t bytes) {
  std::lock_guard lock(mutex_);
  if (isFull()) {
    extents_[path].written += bytes / 2;
    return Status::IOError(path, "No space left on device");
  }
  extents_[path].written += bytes;
  return Status::OK();
}

Status FaultyEnv::syncing(const std::string& path) {
  std::lock_guard lock(mutex_);
  if (isFull()) return Status::IOError(path, "No space left on device");
  if (path.size() > 4 && path.substr(path.size() - 4) == ".log") {
    syncs_ += 1;
    if (syncs_ >= failFrom_) return Status::IOError(path, "Input/output error");
  }
  extents_[path].synced = extents_[path].written;
  return Status::OK();
}

Status FaultyEnv::NewWritableFile(const std::string& path, leveldb::WritableFile** file) {
  {
    std::lock_guard lock(mutex_);
    if (isFull()) return Status::IOError(path, "No space left on device");
    extents_[path] = Extent{};
  }
  Status status = target()->NewWritableFile(path, file);
  if (!status.ok()) return status;
  *file = new FaultyFile(*this, path, *file);
  std::ifstream in(path, std::ios::binary);
  std::lock_guard lock(mutex_);
  std::string& before = extents_[path].before;
  before.assign(std::istreambuf_iterator<char>(in), {});
  if (before.find_first_not_of('\0') != std::string::npos) ++writtenOver_;
  return status;
}

Status FaultyEnv::NewAppendableFile(const std::string& path, leveldb::WritableFile** file) {
  uint64_t size = 0;
  target()->GetFileSize(path, &size);
  Status status = target()->NewAppendableFile(path, file);
  if (!status.ok()) return status;
  std::lock_guard lock(mutex_);
  extents_.try_emplace(path, Extent{size, size, {}});
  *file = new FaultyFile(*this, path, *file);
  return status;
}

Status FaultyEnv::RenameFile(const std::string& from, const std::string& to) {
  std::lock_guard lock(mutex_);
  extents_[to] = extents_[from];
  extents_.erase(from);
  return target()->RenameFile(from, to);
}

void FaultyEnv::cutPower(uint64_t tornBytes) {
  std::lock_guard lock(mutex_);
  for (const auto& [path, extent] : extents_) {
    std::error_code gone;
    uint64_t size = std::filesystem::file_size(path, gone);
    if (gone) continue;
    uint64_t left = std::min(size, extent.synced + tornBytes);
    std::filesystem::resize_file(path, left);
    if (extent.before.size() <= left) continue;
    std::ofstream(path, std::ios::binary | std::ios::app) << extent.before.substr(left);
  }
  extents_.clear();
  full_ = false;
  fullBeside_.clear();
  failFrom_ = UINT64_MAX;
}

}  // namespace flotilla::test

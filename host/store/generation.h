// One generation of a volume's log: a LevelDB of frames that never writes a table.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include <leveldb/db.h>
#include <leveldb/env.h>
#include <leveldb/write_batch.h>

#include "flotilla/result.h"
#include "host/store/generation_list.h"

namespace flotilla::store {

// A frame held in place in LevelDB's memory.
//
// Owner:  its reader; must not outlive its Generation.
// Thread: one at a time.
// Errors: none.
class PinnedFrame {
public:
  PinnedFrame(std::unique_ptr<leveldb::Iterator> at, uint64_t number)
      : at_(std::move(at)), number_(number) {}
  std::string_view bytes() const { return {at_->value().data(), at_->value().size()}; }
  uint64_t number() const { return number_; }

private:
  std::unique_ptr<leveldb::Iterator> at_;
  uint64_t number_;
};

// Walks a generation's frames in order.
//
// Owner:  as PinnedFrame.
// Thread: as PinnedFrame.
// Errors: fault(), once valid() is false, tells the end from damage.
class FrameCursor {
public:
  FrameCursor(std::unique_ptr<leveldb::Iterator> at, std::string who)
      : at_(std::move(at)), who_(std::move(who)) {
    at_->SeekToFirst();
  }
  bool valid() const { return at_->Valid(); }
  void next() { at_->Next(); }
  std::string_view key() const { return {at_->key().data(), at_->key().size()}; }
  std::string_view bytes() const { return {at_->value().data(), at_->value().size()}; }
  std::optional<Fault> fault() const;

private:
  std::unique_ptr<leveldb::Iterator> at_;
  std::string who_;
};

// Owner:  FrameRow.
// Thread: the volume's.
// Errors: open answers corrupt for what LevelDB will not open. After a failed append the generation
//         takes no more; what it held before still reads.
class Generation {
public:
  struct Options {
    std::string who;  // for texts
    std::string volumePath;
    ListedGeneration listed;
    leveldb::Env* env = nullptr;
    uint64_t writeBufferBytes = 0;  // 0: the most that LevelDB allows
  };
  // Made new, with its directory and its parent synced.
  static Result<std::unique_ptr<Generation>> make(const Options& options);
  // As it is. Nothing in it is changed; it is only read from now on.
  static Result<std::unique_ptr<Generation>> open(const Options& options);

  uint64_t number() const { return options_.listed.number; }
  uint64_t firstFrame() const { return options_.listed.firstFrame; }
  void beginAt(uint64_t firstFrame) { options_.listed.firstFrame = firstFrame; }  // while empty
  uint64_t bytes() const { return bytes_; }                                       // of frames
  void count(uint64_t frameBytes) { bytes_ += frameBytes; }  // of one found at open

  // Returns once it is synced. `room` is used on its way, and left for the next.
  Result<void> append(uint64_t frame, std::string_view bytes, leveldb::WriteBatch& room);
  Result<PinnedFrame> read(uint64_t frame) const;
  FrameCursor cursor() const;

private:
  explicit Generation(Options options);
  static Result<std::unique_ptr<Generation>> start(const Options& options, bool create);

  Options options_;
  std::string who_;
  std::unique_ptr<leveldb::DB> database_;
  uint64_t bytes_ = 0;
};

}  // namespace flotilla::store

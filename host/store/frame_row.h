// A volume's log as a row of numbered frames, whatever generations they lie in.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "flotilla/result.h"
#include "host/store/frame.h"
#include "host/store/generation.h"
#include "host/store/generation_list.h"
#include "host/store/generation_maker.h"
#include "host/store/journal_env.h"
#include "host/store/mark_file.h"
#include "host/store/own_env.h"

namespace flotilla::store {

// What an open must find. Frames are numbered from 1 without a gap, and each names its
// predecessor's head. A frame that is missing or damaged is damage where anything says that it was
// synced: a later frame, a later generation's first frame, a later frame's synced-through, or the
// mark file. What is missing past all of these is a torn tail, which nobody was told of.
//
// Every open begins a new generation: appending to a journal with a torn tail would lose what
// follows. Frames past the mark may have been read from a cache that never reached the disk, so
// they are written once more, as the new generation's first.
//
// The next generation is made while the newest fills, and is empty until it is due.
//
// No space at an append leaves the row as it was before; the next append begins a new generation,
// and what the failed one left behind is void. Nothing failed is ever tried again in place.
//
// Owner:  VolumeWriter.
// Thread: the volume's.
// Errors: open answers corrupt, naming generation and frame; append diskFull (try again when there
//         is room) or anything else (stop).
class FrameRow {
public:
  struct Options {
    std::string who;
    std::string path;
    uint64_t generationBytes = 0;
    leveldb::Env* env = nullptr;    // nullptr: the system's, with journals laid out ahead
    uint64_t writeBufferBytes = 0;  // 0: no tables
    // Ahead of what is written to them, and written over once they are old: see JournalEnv, which
    // `env` then is or has beneath it.
    bool layOutJournals = true;
  };
  // Called with each frame in order, from the oldest that is left.
  using Visitor = std::function<void(const FrameView& frame)>;

  static Result<std::unique_ptr<FrameRow>> create(Options options);
  static Result<std::unique_ptr<FrameRow>> open(Options options, const Visitor& visit);
  ~FrameRow();

  // Begins the generation that is due, if one is. append does it too.
  Result<void> prepare();
  // Lays out the frame, writes it, and returns once it is synced.
  Result<void> append(FrameBuilder& frame);
  Result<PinnedFrame> read(uint64_t frame) const;

  uint64_t lastFrame() const { return lastFrame_; }
  uint64_t bytes() const;
  uint64_t generationCount() const { return generations_.size(); }
  uint64_t generationBytes() const { return options_.generationBytes; }  // of a full one
  uint64_t newestGeneration() const {
    return generations_.empty() ? 0 : generations_.back()->number();
  }
  // The last frame of the oldest generation; 0 while the oldest is the newest.
  uint64_t oldestGenerationLimit() const;
  // Lets the oldest generations go as long as all their frames are below `frame`; they are
  // destroyed beside.
  Result<void> dropBelow(uint64_t frame);
  // On a disk that is full.
  void giveSparesUp() { maker_.removeSpares(options_.path); }
  // After it an open writes nothing twice.
  Result<void> syncMark();

private:
  // Spare journals end with the row they are of.
  struct Spares {
    ~Spares();
    std::string path;  // empty until the row is known to be ours
  };

  explicit FrameRow(Options options);
  void layOutNext();
  void makeAhead();
  Result<void> writeList();
  Result<void> sweepUnlisted();
  Result<void> readGeneration(size_t place, const Visitor& visit);
  Result<void> judgeFrame(const Generation& generation, const FrameCursor& at, FrameView& frame);
  Result<void> keepUnmarked(uint64_t synced);
  Generation::Options optionsFor(const ListedGeneration& listed, OwnEnv& env) const;
  Fault damage(const Generation& generation, uint64_t frame, const std::string& what) const;

  Options options_;
  uint64_t generationLimit_ = 0;  // of the newest generation's frames
  uint64_t nextLimit_;
  JournalEnv journals_;
  OwnEnv writeEnv_;
  OwnEnv readEnv_;  // keeps all files: see OwnEnv
  OwnEnv maskedReadEnv_;
  GenerationList list_;
  std::unique_ptr<MarkFile> mark_;
  std::vector<std::unique_ptr<Generation>> generations_;  // as list_.whole
  std::vector<std::string> unmarked_;  // frames to be written once more, up to lastFrame_
  uint64_t lastFrame_ = 0;
  uint64_t lastHead_ = 0;  // checksum of lastFrame_'s head
  bool generationDue_ = true;
  // The frame being written, and LevelDB's copy of it. Kept from frame to frame: memory for a third
  // of a MiB, asked for and given back with each, is mostly fresh pages.
  std::string bytes_;
  std::unique_ptr<leveldb::WriteBatch> batch_ = std::make_unique<leveldb::WriteBatch>();
  Spares spares_;
  GenerationMaker maker_;  // ends first: it works for all of the above
};

}  // namespace flotilla::store

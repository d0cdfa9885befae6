// How one burst of writes lies on disk: a frame of records.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "flotilla/result.h"
#include "host/group/ports.h"

namespace flotilla::store {

// frame      = head, directory, bodies; all numbers little-endian
// head       = magic u32, version u32, number u64, synced-through u64, checksum of the previous
//              frame's head u64, record count u32, 0 u32, frame bytes u64, checksum u64
// directory  = for each record: kind u32, count u32, group u64, replica u64, first u64, offset u32,
//              length u32, checksum of the body u64
// run body   = for each entry: term u64, length u32, 0 u32, checksum u64; then the payloads
//
// The head's checksum covers the key (the number), the head and the directory: if it is right, it
// is known of every body whose it is, and a damaged body costs one replica only. A body's checksum
// covers its directory line too; a run's covers its table, and each entry has its own, over
// replica, index, term and payload, so that one entry is checked without reading its neighbours.
inline constexpr uint32_t kFrameVersion = 1;
inline constexpr size_t kHeadBytes = 56;
inline constexpr size_t kLineBytes = 48;
inline constexpr size_t kEntryLineBytes = 24;

enum class RecordKind : uint32_t {
  run = 1,      // entries [first, first + count); they replace whatever stood from `first` on
  state = 2,    // the replica's state; body: state_record.h
  reset = 3,    // no earlier entry of the replica is part of its log
  forget = 4,   // the replica is no more
  moved = 5,    // a run copied forward: entries that are where they were, now to be read from here
  damaged = 6,  // the replica's state was lost; body: the fault's text
};

struct Record {
  RecordKind kind = RecordKind::run;
  uint32_t count = 0;  // entries of a run
  group::ReplicaKey key;
  raft::Index first = 0;
  uint32_t offset = 0;  // of the body, from the frame's first byte
  uint32_t length = 0;
  uint64_t checksum = 0;

  bool hasEntries() const { return kind == RecordKind::run || kind == RecordKind::moved; }
};

struct FrameHead {
  uint64_t number = 0;
  uint64_t syncedThrough = 0;  // this frame and all before were safe when this one was made
  uint64_t previous = 0;       // checksum of the previous frame's head; 0 with the first of all
  uint64_t checksum = 0;       // of this head; parse and finish set it
};

// Big-endian, so that LevelDB keeps frames in order.
std::string frameKey(uint64_t number);

// Gathers records and lays them out once: payloads are copied from where they are into the frame.
//
// Owner:  one frame's maker. Entries must live until finish().
// Thread: one at a time.
// Errors: none.
class FrameBuilder {
public:
  void run(RecordKind kind, group::ReplicaKey key, std::vector<const group::LogEntry*> entries);
  void note(RecordKind kind, group::ReplicaKey key, std::string body);  // anything without entries

  bool empty() const { return records_.empty(); }
  uint64_t bytes() const { return bytes_; }  // of the frame, were it finished now

  // Puts the frame's bytes into `bytes`; sets head.checksum. Afterwards records() have their
  // offsets.
  void finish(FrameHead& head, std::string& bytes);
  const std::vector<Record>& records() const { return records_; }
  std::string_view noteBody(size_t record) const { return bodies_[record].note; }
  void clear();

private:
  struct Body {
    std::vector<const group::LogEntry*> entries;
    std::string note;
  };
  std::vector<Record> records_;
  std::vector<Body> bodies_;
  uint64_t bytes_ = kHeadBytes;
};

// A frame as it was read. Views point into the caller's bytes.
//
// Owner:  anyone; the bytes must outlive it.
// Thread: any.
// Errors: parse answers corrupt for a head or directory that fails; bodies are judged one by one.
class FrameView {
public:
  static Result<FrameView> parse(std::string_view key, std::string_view bytes);

  const FrameHead& head() const { return head_; }
  const std::vector<Record>& records() const { return records_; }
  std::string_view body(const Record& record) const {
    return bytes_.substr(record.offset, record.length);
  }
  // The body matches its directory line, and of a run every entry.
  bool intact(const Record& record) const;

  // One line of the directory of a frame that open has judged already, without judging all of it
  // again: a frame may have thousands. What RunView checks covers the line.
  static std::optional<Record> lineAt(std::string_view bytes, uint32_t place);

private:
  std::string_view bytes_;
  FrameHead head_;
  std::vector<Record> records_;
};

// One entry of a run's body. Answers nothing where it fails its checksum or the body is too short.
struct RunEntry {
  raft::Term term = 0;
  std::string_view payload;
};

// A run's entries, read in place.
//
// Owner:  whoever reads; dies with the frame it views.
// Thread: one at a time.
// Errors: as RunEntry: an entry that fails its checksum is not given.
class RunView {
public:
  // Checks the table against the line's checksum; `good` says whether it held.
  RunView(const Record& record, std::string_view body);
  bool good() const { return good_; }
  // The `place`th entry, from 0. Walks the table from the place asked before, so asking in order is
  // cheap.
  std::optional<RunEntry> entry(uint32_t place);
  uint32_t lengthOf(uint32_t place) const;

private:
  Record record_;
  std::string_view body_;
  bool good_ = false;
  uint32_t nextPlace_ = 0;
  uint64_t nextOffset_ = 0;
};

}  // namespace flotilla::store

// What the commands of one session were answered.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "flotilla/rarely.h"
#include "flotilla/result.h"
#include "host/group/ports.h"
#include "host/group/short_text.h"

namespace flotilla::group {

// Answers by sequence. A sequence is added before its command is applied, is pending until it is
// settled, and goes when all before some other are acknowledged.
//
// A client's batch is a run of sequences at following positions of one entry, and where its
// commands return nothing much all are answered alike: such answers are one record with a count.
// One each is 64 bytes that are written, read and dropped within a second, and with many groups
// each of them comes from memory and goes back there.
//
// Owner:  Sessions.
// Thread: the applier's.
// Errors: none; what must hold is said at each function.
class KeptAnswers {
public:
  // A view; dies with the next change.
  struct Answer {
    bool settled = false;  // else nothing of the others is known
    ErrorCode code = ErrorCode::none;
    std::string_view appCode, body;
    Position position;
  };
  // How many went, and with how many bytes of bodies.
  struct Gone {
    uint64_t count = 0;
    uint64_t bytes = 0;
  };

  size_t size() const { return count_; }
  size_t recordCount() const { return records_.size() - first_; }
  bool has(uint64_t sequence) const { return find(sequence) != kNone; }
  uint64_t lastSequence() const;  // 0: there is none

  // It is there.
  Answer at(uint64_t sequence) const;
  // It is not there.
  void add(uint64_t sequence);
  // False where it is not there. It is not settled yet.
  bool settle(uint64_t sequence, const Answer& answer);
  Gone dropBelow(uint64_t sequence);
  Gone dropAll();

  // Answers alike, `count` of them: each next one has the next sequence and the next ordinal.
  struct Run {
    uint64_t sequence = 0;
    uint32_t count = 1;
    Answer answer;
  };
  // All of them, by rising sequence, those alike as one, but for answers with a code of the
  // application's: equal answers give equal runs, in whatever order they were settled. What is
  // pending is there as well, in runs as they were added.
  std::vector<Run> runs() const;
  // Those that follow all that are there.
  void append(const Run& run);

private:
  static constexpr size_t kNone = static_cast<size_t>(-1);

  // Of the size of a cache line.
  struct Record {
    uint64_t sequence = 0;  // of the first
    raft::Index index = 0;
    uint32_t ordinal = 0;  // of the first; the others' follow
    uint32_t count = 1;
    Rarely<std::string> appCode;
    ShortText body;
    ErrorCode code = ErrorCode::none;
    bool settled = false;

    uint64_t last() const { return sequence + (count - 1); }
    void dropFirst(uint32_t number);
  };
  static_assert(sizeof(Record) == 64);

  static Answer answerOf(const Record& record, uint64_t place);
  static void keep(Record& record, const Answer& answer);
  // Whether `answer` is the one that would come next in the record.
  static bool goesOn(const Record& record, uint64_t sequence, const Answer& answer);

  size_t place(uint64_t sequence) const;  // of the first record that does not end before it
  size_t find(uint64_t sequence) const;
  Record& insert(size_t at, uint64_t sequence);
  void drop(uint32_t number, Gone& gone);  // of the first record

  // They come at the end and go at the front, nearly always: an array that is moved up now and
  // then.
  std::vector<Record> records_;
  size_t first_ = 0;
  size_t count_ = 0;  // of answers
};

}  // namespace flotilla::group

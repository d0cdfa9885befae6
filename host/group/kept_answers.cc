// What the commands of one session were answered.
#include "host/group/kept_answers.h"

#include <algorithm>

#include "host/base/assert.h"

namespace flotilla::group {

void KeptAnswers::Record::dropFirst(uint32_t number) {
  sequence += number;
  ordinal += number;
  count -= number;
}

uint64_t KeptAnswers::lastSequence() const {
  return recordCount() == 0 ? 0 : records_.back().last();
}

KeptAnswers::Answer KeptAnswers::answerOf(const Record& record, uint64_t place) {
  if (!record.settled) return {};
  return {true,
          record.code,
          record.appCode ? std::string_view(*record.appCode) : std::string_view(),
          record.body.view(),
          {record.index, record.ordinal + static_cast<uint32_t>(place)}};
}

bool KeptAnswers::goesOn(const Record& record, uint64_t sequence, const Answer& answer) {
  return record.settled && record.last() + 1 == sequence && record.index == answer.position.index &&
         uint64_t{record.ordinal} + record.count == answer.position.ordinal &&
         record.code == answer.code && !record.appCode && answer.appCode.empty() &&
         record.body.view() == answer.body;
}

// Nearly always in one of the last two: what is pending is last, and what was settled before it.
size_t KeptAnswers::place(uint64_t sequence) const {
  size_t end = records_.size();
  if (first_ == end || records_[end - 1].last() < sequence) return end;
  if (first_ == end - 1 || records_[end - 2].last() < sequence) return end - 1;
  auto first = records_.begin() + static_cast<std::ptrdiff_t>(first_);
  auto at = std::lower_bound(first, records_.end(), sequence,
                             [](const Record& it, uint64_t wanted) { return it.last() < wanted; });
  return static_cast<size_t>(at - records_.begin());
}

size_t KeptAnswers::find(uint64_t sequence) const {
  size_t at = place(sequence);
  return at < records_.size() && records_[at].sequence <= sequence ? at : kNone;
}

KeptAnswers::Answer KeptAnswers::at(uint64_t sequence) const {
  size_t at = find(sequence);
  ASSERT(at != kNone);
  return answerOf(records_[at], sequence - records_[at].sequence);
}

// Made where it stays: a copy is read back while its parts are still on their way to memory, and
// waits for all that was written before it.
KeptAnswers::Record& KeptAnswers::insert(size_t at, uint64_t sequence) {
  Record& made = at == records_.size()
                     ? records_.emplace_back()
                     : *records_.emplace(records_.begin() + static_cast<std::ptrdiff_t>(at));
  made.sequence = sequence;
  return made;
}

void KeptAnswers::add(uint64_t sequence) {
  size_t at = place(sequence);
  ASSERT(at == records_.size() || sequence < records_[at].sequence);
  ++count_;
  if (at > first_ && !records_[at - 1].settled && records_[at - 1].last() + 1 == sequence) {
    ++records_[at - 1].count;
  } else {
    insert(at, sequence);
  }
}

bool KeptAnswers::settle(uint64_t sequence, const Answer& answer) {
  size_t at = find(sequence);
  if (at == kNone) return false;
  ASSERT(!records_[at].settled);
  if (auto before = static_cast<uint32_t>(sequence - records_[at].sequence); before != 0) {
    uint32_t rest = records_[at].count - before;
    records_[at].count = before;
    insert(++at, sequence).count = rest;
  }
  // It is the first of its record now.
  bool more = at > first_ && goesOn(records_[at - 1], sequence, answer);
  if (more) ++records_[at - 1].count;
  if (records_[at].count > 1) {
    records_[at].dropFirst(1);
    if (!more) insert(at, sequence);
  } else if (more) {
    records_.erase(records_.begin() + static_cast<std::ptrdiff_t>(at));
  }
  if (!more) keep(records_[at], answer);
  return true;
}

void KeptAnswers::keep(Record& record, const Answer& answer) {
  record.settled = true;
  record.code = answer.code;
  record.index = answer.position.index;
  record.ordinal = answer.position.ordinal;
  if (!answer.appCode.empty()) record.appCode = std::string(answer.appCode);
  record.body = answer.body;
}

std::vector<KeptAnswers::Run> KeptAnswers::runs() const {
  std::vector<Run> runs;
  runs.reserve(recordCount());
  for (size_t at = first_; at < records_.size(); ++at) {
    const Record& record = records_[at];
    Answer answer = answerOf(record, 0);
    bool more = at > first_ && goesOn(records_[at - 1], record.sequence, answer);
    if (more) {
      runs.back().count += record.count;
    } else {
      runs.push_back({record.sequence, record.count, answer});
    }
  }
  return runs;
}

void KeptAnswers::append(const Run& run) {
  ASSERT(run.count != 0 && run.answer.settled && run.sequence > lastSequence());
  count_ += run.count;
  if (recordCount() != 0 && goesOn(records_.back(), run.sequence, run.answer)) {
    records_.back().count += run.count;
    return;
  }
  Record& record = insert(records_.size(), run.sequence);
  record.count = run.count;
  keep(record, run.answer);
}

KeptAnswers::Gone KeptAnswers::dropBelow(uint64_t sequence) {
  Gone gone;
  while (recordCount() != 0 && records_[first_].sequence < sequence) {
    const Record& record = records_[first_];
    uint64_t number = record.last() < sequence ? record.count : sequence - record.sequence;
    drop(static_cast<uint32_t>(number), gone);
  }
  return gone;
}

KeptAnswers::Gone KeptAnswers::dropAll() {
  Gone gone;
  while (recordCount() != 0) drop(records_[first_].count, gone);
  return gone;
}

// Moves up once as much has gone as is left, so that each record is moved about once.
void KeptAnswers::drop(uint32_t number, Gone& gone) {
  constexpr size_t kRoom = 16;
  Record& record = records_[first_];
  gone.count += number;
  gone.bytes += number * record.body.size();
  count_ -= number;
  if (number != record.count) return record.dropFirst(number);
  record = Record{};
  ++first_;
  if (recordCount() != 0 && (first_ < kRoom || first_ < recordCount())) return;
  records_.erase(records_.begin(), records_.begin() + static_cast<std::ptrdiff_t>(first_));
  first_ = 0;
}

}  // namespace flotilla::group

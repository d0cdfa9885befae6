// A volume's log as a row of numbered frames, whatever generations they lie in.
#include "host/store/frame_row.h"

#include <algorithm>
#include <unistd.h>
#include <utility>

#include "host/base/assert.h"
#include "host/base/give_back.h"
#include "host/store/files.h"
#include "host/store/packing.h"

namespace flotilla::store {

namespace {

constexpr uint64_t kListBytesMax = 1 << 20;
constexpr uint64_t kFirstPart = 4;            // a start's first generation is so much smaller
constexpr uint64_t kJournalMargin = 1 << 20;  // for its last frame, which may pass the limit
constexpr const char* kAdvice =
    "; this host does not start: put back what is missing, or replace the host";

uint64_t numberOf(std::string_view key) {
  uint64_t number = 0;
  for (char byte : key) number = number << 8 | static_cast<uint8_t>(byte);
  return number;
}

// At a start and a stop other hosts may wait for the same disk.
bool shortPause() {
  return ::usleep(4'000) == 0;
}

std::string markPath(const std::string& path) {
  return path + "/mark";
}

}  // namespace

FrameRow::FrameRow(Options options)
    : options_(std::move(options)),
      nextLimit_(options_.generationBytes / kFirstPart),
      writeEnv_(options_.env != nullptr   ? options_.env
                : options_.layOutJournals ? &journals_
                                          : nullptr,
                OwnEnv::Removal::removes),
      readEnv_(options_.env, OwnEnv::Removal::keeps),
      maskedReadEnv_(options_.env != nullptr ? options_.env : &journals_, OwnEnv::Removal::keeps) {
  layOutNext();
}

FrameRow::Spares::~Spares() {
  if (!path.empty()) static_cast<void>(removeSpares(path, shortPause));  // else the next open does
}

// What was made ahead holds nothing, and its journal takes room. Its number is made again at the
// next start, so that journal becomes no spare.
FrameRow::~FrameRow() {
  if (!maker_.begun()) return;
  uint64_t number = *maker_.begun();
  auto made = maker_.take();
  if (made) maker_.destroy(std::move(*made), generationPath(options_.path, number), 0);
}

void FrameRow::layOutNext() {
  journals_.layOut(nextLimit_ + kJournalMargin);
}

Generation::Options FrameRow::optionsFor(const ListedGeneration& listed, OwnEnv& env) const {
  return {options_.who, options_.path, listed, &env, options_.writeBufferBytes};
}

Fault FrameRow::damage(const Generation& generation, uint64_t frame,
                       const std::string& what) const {
  return Fault{ErrorCode::corrupt,
               options_.who + ": generation " + std::to_string(generation.number()) + ": frame " +
                   std::to_string(frame) + " " + what + kAdvice,
               {}};
}

Result<void> FrameRow::writeList() {
  return writeAside(generationListPath(options_.path), list_.text());
}

Result<std::unique_ptr<FrameRow>> FrameRow::create(Options options) {
  std::unique_ptr<FrameRow> row(new FrameRow(std::move(options)));
  const std::string& path = row->options_.path;
  if (exists(generationListPath(path))) {
    return Fault{
        ErrorCode::alreadyExists, row->options_.who + ": " + path + " holds a log already", {}};
  }
  if (auto made = makeDirectories(path); !made) return made.fault();
  if (auto removed = removeSpares(path, shortPause); !removed) return removed.fault();
  row->spares_.path = path;
  auto mark = MarkFile::create(markPath(path));
  if (!mark) return mark.fault();
  row->mark_ = std::make_unique<MarkFile>(std::move(*mark));
  if (auto wrote = row->writeList(); !wrote) return wrote.fault();
  return row;
}

Result<std::unique_ptr<FrameRow>> FrameRow::open(Options options, const Visitor& visit) {
  std::unique_ptr<FrameRow> row(new FrameRow(std::move(options)));
  auto refuse = [&](const Fault& fault) {
    return Fault{fault.code, row->options_.who + ": " + fault.text + kAdvice, {}};
  };
  std::string listPath = generationListPath(row->options_.path);
  auto text = readWhole(listPath, kListBytesMax);
  if (!text) return refuse(text.fault());
  auto list = GenerationList::parse(listPath, *text);
  if (!list) return refuse(list.fault());
  row->list_ = std::move(*list);
  auto mark = MarkFile::open(markPath(row->options_.path));
  if (!mark) return refuse(mark.fault());
  row->mark_ = std::make_unique<MarkFile>(std::move(*mark));
  uint64_t synced = row->mark_->value();
  if (!row->list_.whole.empty()) {
    row->lastFrame_ = row->list_.whole.front().firstFrame - 1;
    synced = std::max(synced, row->list_.whole.back().firstFrame - 1);
  }
  for (size_t place = 0; place < row->list_.whole.size(); ++place) {
    if (auto read = row->readGeneration(place, visit); !read) return read.fault();
  }
  if (row->lastFrame_ < synced) {
    std::string where =
        row->generations_.empty()
            ? ": no generation is left: frame "
            : ": generation " + std::to_string(row->generations_.back()->number()) + ": frame ";
    return Fault{ErrorCode::corrupt,
                 row->options_.who + where + std::to_string(row->lastFrame_ + 1) +
                     " is missing, and was synced (the mark is at " + std::to_string(synced) + ")" +
                     kAdvice,
                 {}};
  }
  if (auto kept = row->keepUnmarked(synced); !kept) return kept.fault();
  if (auto swept = row->sweepUnlisted(); !swept) return swept.fault();
  return row;
}

Result<void> FrameRow::readGeneration(size_t place, const Visitor& visit) {
  const ListedGeneration& listed = list_.whole[place];
  bool last = place + 1 == list_.whole.size();
  auto opened = Generation::open(optionsFor(listed, listed.masked ? maskedReadEnv_ : readEnv_));
  if (!opened) return Fault{opened.fault().code, opened.fault().text + kAdvice, {}};
  Generation& generation = **opened;
  generations_.push_back(std::move(*opened));
  FrameCursor at = generation.cursor();
  for (; at.valid(); at.next()) {
    uint64_t number = numberOf(at.key());
    // Past the next generation's first: what a failed write left behind.
    if (!last && number >= list_.whole[place + 1].firstFrame) break;
    FrameView frame;
    if (auto good = judgeFrame(generation, at, frame); !good) return good;
    visit(frame);
    generation.count(at.bytes().size());
    lastFrame_ = number;
    lastHead_ = frame.head().checksum;
  }
  if (auto fault = at.fault()) return Fault{fault->code, fault->text + kAdvice, {}};
  if (!last && lastFrame_ + 1 != list_.whole[place + 1].firstFrame) {
    return damage(generation, lastFrame_ + 1, "is missing, and a later generation follows");
  }
  return {};
}

Result<void> FrameRow::judgeFrame(const Generation& generation, const FrameCursor& at,
                                  FrameView& frame) {
  uint64_t number = numberOf(at.key());
  if (at.key().size() != 8 || number < lastFrame_ + 1) {
    return damage(generation, number, "has no business here");
  }
  if (number > lastFrame_ + 1) {
    return damage(generation, lastFrame_ + 1,
                  "is missing, and frame " + std::to_string(number) + " follows");
  }
  auto parsed = FrameView::parse(at.key(), at.bytes());
  if (!parsed) return damage(generation, number, "is damaged: " + parsed.fault().text);
  frame = std::move(*parsed);
  if (frame.head().number != number || frame.head().syncedThrough >= number) {
    return damage(generation, number, "says another number");
  }
  // The oldest frame's predecessor may be gone; every other's is here.
  bool first = number == list_.whole.front().firstFrame;
  if (!first && frame.head().previous != lastHead_) {
    return damage(generation, number, "follows another frame than the one before it");
  }
  return {};
}

// Takes frames past what is known to be synced, to be written again.
Result<void> FrameRow::keepUnmarked(uint64_t synced) {
  for (uint64_t number = synced + 1; number <= lastFrame_; ++number) {
    auto frame = read(number);
    if (!frame) return frame.fault();
    unmarked_.emplace_back(frame->bytes());
  }
  return {};
}

// Generations that were dropped from the list just before a crash, and spare journals.
Result<void> FrameRow::sweepUnlisted() {
  if (auto removed = removeSpares(options_.path, shortPause); !removed) return removed;
  spares_.path = options_.path;
  auto names = listDirectory(options_.path);
  if (!names) return names.fault();
  for (const std::string& name : *names) {
    if (name.rfind("generation-", 0) != 0) continue;
    std::string path = options_.path + "/" + name;
    bool listed = std::any_of(list_.whole.begin(), list_.whole.end(), [&](const auto& it) {
      return generationPath(options_.path, it.number) == path;
    });
    if (listed) continue;
    if (auto removed = removeTree(path); !removed) return removed;
  }
  return {};
}

Result<void> FrameRow::prepare() {
  if (!generationDue_) return {};
  uint64_t firstFrame = lastFrame_ + 1 - unmarked_.size();
  if (!list_.making) {
    list_.making = ListedGeneration{list_.nextNumber(), firstFrame, false};
    if (auto wrote = writeList(); !wrote) {
      list_.making.reset();
      return wrote;
    }
  }
  if (!maker_.begun()) maker_.begin(optionsFor(*list_.making, writeEnv_));
  auto made = maker_.take();
  if (!made) return made.fault();
  (*made)->beginAt(firstFrame);
  leveldb::WriteBatch room;
  for (size_t i = 0; i < unmarked_.size(); ++i) {
    if (auto wrote = (*made)->append(firstFrame + i, unmarked_[i], room); !wrote) return wrote;
  }
  GenerationList next = list_;
  next.whole.push_back({next.making->number, firstFrame, options_.layOutJournals});
  // Announced together with the change to its predecessor, and made while that one fills.
  next.making = ListedGeneration{next.making->number + 1, firstFrame, false};
  std::swap(list_, next);
  if (auto wrote = writeList(); !wrote) {
    std::swap(list_, next);  // the announcement may have come through; its maker makes it anew
    return wrote;
  }
  generationLimit_ = std::exchange(nextLimit_, options_.generationBytes);
  layOutNext();
  generations_.push_back(std::move(*made));
  unmarked_.clear();
  generationDue_ = false;
  return mark_->set(std::max(mark_->value(), lastFrame_));
}

// Once the newest generation is a quarter full; who starts and rests never pays for a second one.
void FrameRow::makeAhead() {
  if (maker_.begun() || generations_.back()->bytes() < generationLimit_ / 4) return;
  maker_.begin(optionsFor(*list_.making, writeEnv_));
}

Result<void> FrameRow::append(FrameBuilder& frame) {
  if (!generationDue_ && generations_.back()->bytes() >= generationLimit_) generationDue_ = true;
  if (auto prepared = prepare(); !prepared) return prepared;
  constexpr size_t kRoomBytesMax = 4 << 20;
  FrameHead head{.number = lastFrame_ + 1, .syncedThrough = lastFrame_, .previous = lastHead_};
  frame.finish(head, bytes_);
  auto wrote = generations_.back()->append(head.number, bytes_, *batch_);
  if (bytes_.capacity() > kRoomBytesMax) {
    base::giveBack(bytes_);
    batch_ = std::make_unique<leveldb::WriteBatch>();
  }
  if (!wrote) {
    generationDue_ = true;
    return wrote;
  }
  lastFrame_ = head.number;
  lastHead_ = head.checksum;
  makeAhead();
  return mark_->set(lastFrame_);
}

Result<PinnedFrame> FrameRow::read(uint64_t frame) const {
  // From the newest: frames that were written again lie in two generations.
  for (auto it = generations_.rbegin(); it != generations_.rend(); ++it) {
    if ((*it)->firstFrame() <= frame) return (*it)->read(frame);
  }
  return Fault{
      ErrorCode::corrupt, options_.who + ": frame " + std::to_string(frame) + " was dropped", {}};
}

uint64_t FrameRow::bytes() const {
  uint64_t sum = 0;
  for (const auto& generation : generations_) sum += generation->bytes();
  return sum;
}

uint64_t FrameRow::oldestGenerationLimit() const {
  return generations_.size() < 2 ? 0 : generations_[1]->firstFrame() - 1;
}

Result<void> FrameRow::dropBelow(uint64_t frame) {
  size_t drop = 0;
  while (drop + 1 < generations_.size() && generations_[drop + 1]->firstFrame() <= frame) ++drop;
  if (drop == 0) return {};
  if (auto trouble = maker_.trouble()) return *trouble;
  auto end = static_cast<std::ptrdiff_t>(drop);
  uint64_t kept = options_.layOutJournals ? options_.generationBytes + kJournalMargin : 0;
  GenerationList before = list_;
  list_.whole.erase(list_.whole.begin(), list_.whole.begin() + end);
  if (auto wrote = writeList(); !wrote) {
    list_ = std::move(before);
    return wrote;
  }
  for (auto it = generations_.begin(); it != generations_.begin() + end; ++it) {
    std::string path = generationPath(options_.path, (*it)->number());
    maker_.destroy(std::move(*it), std::move(path), kept);
  }
  generations_.erase(generations_.begin(), generations_.begin() + end);
  return {};
}

Result<void> FrameRow::syncMark() {
  return mark_->sync();
}

}  // namespace flotilla::store

// Marks in a mapped file, the handler that flags them, and the judgement at the next start.
#include "host/plugin/crash_mark.h"

#include <array>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "host/base/assert.h"

namespace flotilla::plugin {

// One machine call under way.
struct MarkSlot {
  uint64_t group;
  uint64_t replica;
  flotilla_cursor cursor;
  uint32_t active;
  uint32_t query;
  uint32_t flagged;
  int32_t signal;
};

struct MarkRecord {
  uint64_t group;
  uint64_t replica;
  uint64_t index;
  uint64_t ordinal;
  uint32_t query;
  int32_t signal;

  bool sameCommand(const MarkRecord& other) const {
    return group == other.group && replica == other.replica && index == other.index &&
           ordinal == other.ordinal && query == other.query;
  }
};

// The file, as it is mapped. Only this host reads it, and only builds of the same layout.
struct MarkFile {
  static constexpr uint64_t kMagic = 0x316b72616d746c66ULL;  // "fltmark1"

  uint64_t magic;
  uint64_t bytes;
  uint32_t clean;         // the last stop was in good order
  uint32_t lastCount;     // marks that the last unclean stop left, in `last`
  uint32_t crashedCount;  // in `crashed`
  uint32_t reserved;
  MarkSlot slots[CrashMarks::kSlotsMax];
  MarkRecord last[CrashMarks::kSlotsMax];
  MarkRecord crashed[CrashMarks::kCrashedMax];
};

namespace {

constexpr std::array kFatalSignals{SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGSYS};

// The handler's own: what it needs without a lock, and whom it passes the signal on to.
thread_local MarkSlot* slotUnderWay = nullptr;
std::array<struct sigaction, kFatalSignals.size()> handlersBefore;
std::array<std::atomic<bool>, CrashMarks::kSlotsMax> slotTaken;

void flagAndPassOn(int signal) {
  if (MarkSlot* slot = slotUnderWay) {
    slot->signal = signal;
    slot->flagged = 1;
  }
  for (size_t i = 0; i < kFatalSignals.size(); ++i) {
    if (kFatalSignals[i] == signal) sigaction(signal, &handlersBefore[i], nullptr);
  }
  // Blocked until this returns, then delivered to whoever was there before, by default the end.
  raise(signal);
}

void installHandler() {
  static std::once_flag once;
  std::call_once(once, [] {
    struct sigaction action {};
    action.sa_handler = flagAndPassOn;
    action.sa_flags = SA_ONSTACK;
    sigemptyset(&action.sa_mask);
    for (size_t i = 0; i < kFatalSignals.size(); ++i) {
      sigaction(kFatalSignals[i], &action, &handlersBefore[i]);
    }
  });
}

// A stack for the handler, since a machine may have run through its own.
//
// Owner: the thread. Thread: that one. Errors: without memory there is none, as before.
class HandlerStack {
public:
  HandlerStack() {
    stack_t before{};
    if (sigaltstack(nullptr, &before) == 0 && (before.ss_flags & SS_DISABLE) == 0) return;
    void* memory =
        mmap(nullptr, kBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) return;
    memory_ = memory;
    stack_t ours{};
    ours.ss_sp = memory_;
    ours.ss_size = kBytes;
    sigaltstack(&ours, nullptr);
  }
  ~HandlerStack() {
    if (memory_ == nullptr) return;
    stack_t none{};
    none.ss_flags = SS_DISABLE;
    sigaltstack(&none, nullptr);
    munmap(memory_, kBytes);
  }
  HandlerStack(const HandlerStack&) = delete;
  HandlerStack& operator=(const HandlerStack&) = delete;

private:
  static constexpr size_t kBytes = 64 * 1024;
  void* memory_ = nullptr;
};

Fault ioFault(const std::string& file, const char* what) {
  return {ErrorCode::io, "crash marks " + file + ": " + what + ": " + std::strerror(errno), {}};
}

std::string damage(const MarkFile& file) {
  if (file.magic != MarkFile::kMagic || file.bytes != sizeof(MarkFile))
    return "its head is not ours";
  if (file.lastCount > CrashMarks::kSlotsMax) return "its count of marks is out of range";
  if (file.crashedCount > CrashMarks::kCrashedMax) return "its count of crashes is out of range";
  return {};
}

}  // namespace

Result<std::unique_ptr<CrashMarks>> CrashMarks::open(const std::string& file, bool handleSignals) {
  int fd = ::open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (fd < 0) return ioFault(file, "cannot be opened");
  struct stat status {};
  bool sized = fstat(fd, &status) == 0;
  bool fresh = sized && status.st_size == 0;
  // Blocks are reserved: a full disk must not turn a store into the mapping into a SIGBUS.
  if (fresh && posix_fallocate(fd, 0, sizeof(MarkFile)) != 0) sized = false;
  if (!sized) {
    Fault fault = ioFault(file, "has no room");
    ::close(fd);
    return fault;
  }
  auto wrong = [&](const std::string& what) {
    return Fault{ErrorCode::corrupt,
                 "crash marks " + file + ": " + what +
                     "; delete it, and the host forgets which replicas were faulted",
                 {}};
  };
  if (!fresh && status.st_size != static_cast<off_t>(sizeof(MarkFile))) {
    ::close(fd);
    return wrong("has " + std::to_string(status.st_size) + " bytes, not " +
                 std::to_string(sizeof(MarkFile)));
  }
  void* mapped = mmap(nullptr, sizeof(MarkFile), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  ::close(fd);
  if (mapped == MAP_FAILED) return ioFault(file, "cannot be mapped");
  auto marks = std::unique_ptr<CrashMarks>(new CrashMarks(static_cast<MarkFile*>(mapped)));
  if (fresh) {
    marks->file_->bytes = sizeof(MarkFile);
    marks->file_->clean = 1;
    marks->file_->magic = MarkFile::kMagic;
  }
  if (std::string what = damage(*marks->file_); !what.empty()) return wrong(what);
  marks->judge();
  if (handleSignals) installHandler();
  return marks;
}

CrashMarks::~CrashMarks() {
  munmap(file_, sizeof(MarkFile));
}

void CrashMarks::judge() {
  std::vector<MarkRecord> left;
  bool anyFlagged = false;
  for (MarkSlot& slot : file_->slots) {
    MarkRecord record{slot.group,          slot.replica, slot.cursor.index,
                      slot.cursor.ordinal, slot.query,   slot.signal};
    bool counts = file_->clean == 0 && slot.active != 0;
    if (counts && slot.flagged != 0) {
      anyFlagged = true;
      addCrashed(record);
    } else if (counts) {
      record.signal = 0;
      left.push_back(record);
    }
    std::memset(static_cast<void*>(&slot), 0, sizeof slot);
  }
  // Where the culprit is known, those who were at work beside it are not suspects.
  if (anyFlagged) left.clear();
  for (const MarkRecord& record : left) {
    for (uint32_t i = 0; i < file_->lastCount; ++i) {
      if (file_->last[i].sameCommand(record)) addCrashed(record);
    }
  }
  file_->lastCount = static_cast<uint32_t>(left.size());
  for (size_t i = 0; i < left.size(); ++i) file_->last[i] = left[i];
  file_->clean = 0;
  msync(file_, sizeof(MarkFile), MS_SYNC);
}

void CrashMarks::addCrashed(const MarkRecord& record) {
  for (uint32_t i = 0; i < file_->crashedCount; ++i) {
    MarkRecord& known = file_->crashed[i];
    if (known.group == record.group && known.replica == record.replica) {
      known = record;
      return;
    }
  }
  if (file_->crashedCount == kCrashedMax) return;  // more replicas than can ever crash one by one
  file_->crashed[file_->crashedCount++] = record;
}

std::vector<CrashedAt> CrashMarks::crashed() const {
  std::lock_guard lock(mutex_);
  std::vector<CrashedAt> crashed;
  for (uint32_t i = 0; i < file_->crashedCount; ++i) {
    const MarkRecord& record = file_->crashed[i];
    crashed.push_back({.replica = {record.group, record.replica},
                       .at = {record.index, static_cast<uint32_t>(record.ordinal)},
                       .query = record.query != 0,
                       .signal = record.signal});
  }
  return crashed;
}

void CrashMarks::forget(group::ReplicaKey replica) {
  std::lock_guard lock(mutex_);
  uint32_t kept = 0;
  for (uint32_t i = 0; i < file_->crashedCount; ++i) {
    const MarkRecord record = file_->crashed[i];
    if (record.group == replica.group && record.replica == replica.replica) continue;
    file_->crashed[kept++] = record;
  }
  file_->crashedCount = kept;
  msync(file_, sizeof(MarkFile), MS_SYNC);
}

void CrashMarks::closeCleanly() {
  file_->lastCount = 0;
  file_->clean = 1;
  msync(file_, sizeof(MarkFile), MS_SYNC);
}

CrashMarks::Scope::Scope(CrashMarks* marks, group::ReplicaKey replica, bool query, uint64_t index)
    : cursor_(&unmarked_), before_(slotUnderWay) {
  if (marks == nullptr) return;
  static thread_local HandlerStack stack;
  static thread_local size_t hint = 0;
  for (size_t i = 0; i < kSlotsMax && slot_ == nullptr; ++i) {
    size_t at = (hint + i) % kSlotsMax;
    if (slotTaken[at].exchange(true, std::memory_order_acquire)) continue;
    hint = at;
    place_ = at;
    slot_ = &marks->file_->slots[at];
  }
  if (slot_ == nullptr) return;  // more machine calls at once than the host has threads for
  slot_->group = replica.group;
  slot_->replica = replica.replica;
  slot_->query = query ? 1 : 0;
  slot_->flagged = 0;
  slot_->cursor.index = index;
  slot_->cursor.ordinal = 0;
  cursor_ = &slot_->cursor;
  std::atomic_signal_fence(std::memory_order_seq_cst);
  slot_->active = 1;
  slotUnderWay = slot_;
}

CrashMarks::Scope::~Scope() {
  slotUnderWay = before_;
  if (slot_ == nullptr) return;
  std::atomic_signal_fence(std::memory_order_seq_cst);
  slot_->active = 0;
  slotTaken[place_].store(false, std::memory_order_release);
}

}  // namespace flotilla::plugin

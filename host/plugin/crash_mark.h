// Which command each worker is carrying out, where a crash cannot wipe it out.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "flotilla/abi.h"
#include "flotilla/result.h"
#include "host/group/ports.h"

namespace flotilla::plugin {

// A replica that must not be replayed beyond `at`: its command there brought the process down.
struct CrashedAt {
  group::ReplicaKey replica;
  group::Position at;
  bool query = false;  // a query did, after `at.index` was applied
  int signal = 0;      // 0: not known, but the process stopped there twice

  bool operator==(const CrashedAt&) const = default;
};

struct MarkSlot;  // in the mapped file
struct MarkRecord;
struct MarkFile;

// Remembers, in a mapped file, the command under way on every worker. A fatal-signal handler flags
// the mark of the thread that crashed. At the next start, a flagged mark, or a mark that two
// unclean stops in a row have left at the same command, makes that replica faulted, until it is
// told to try again: a crashing command costs a host at most two restarts.
//
// Owner:  runtime; outlives every machine. Several in one process share the slots' numbers.
// Thread: any; a mark belongs to the thread whose call it is.
// Errors: open answers `io` or `corrupt`, naming the file.
class CrashMarks {
public:
  static constexpr size_t kSlotsMax = 256;     // machine calls under way at once
  static constexpr size_t kCrashedMax = 4096;  // replicas remembered as faulted

  // Creates `file` where there is none, judges what the last stop left, and installs the handler
  // for fatal signals. With `handleSignals` false (tests) only the file is kept.
  static Result<std::unique_ptr<CrashMarks>> open(const std::string& file,
                                                  bool handleSignals = true);
  ~CrashMarks();
  CrashMarks(const CrashMarks&) = delete;
  CrashMarks& operator=(const CrashMarks&) = delete;

  // The replicas that must start faulted.
  std::vector<CrashedAt> crashed() const;
  // The replica is to try again, or is no more.
  void forget(group::ReplicaKey replica);
  // The process stops in good order: marks left standing mean nothing. Later calls are not marked.
  void closeCleanly();

  // One machine call's mark on this thread, for as long as it lives.
  class Scope {
  public:
    Scope(CrashMarks* marks, group::ReplicaKey replica, bool query, uint64_t index);
    ~Scope();
    Scope(const Scope&) = delete;
    Scope& operator=(const Scope&) = delete;
    // Where the machine stores the command it begins with.
    flotilla_cursor* cursor() { return cursor_; }

  private:
    MarkSlot* slot_ = nullptr;
    size_t place_ = 0;
    flotilla_cursor* cursor_;
    MarkSlot* before_;            // a scope around this one
    flotilla_cursor unmarked_{};  // where nothing remembers
  };

private:
  explicit CrashMarks(MarkFile* file) : file_(file) {}
  void judge();
  void addCrashed(const MarkRecord& record);

  mutable std::mutex mutex_;  // of the crashed list
  MarkFile* file_;
};

}  // namespace flotilla::plugin

// Which term each index holds, and which configurations: all that Raft judges of a log.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "host/base/prefetch.h"
#include "host/raft/types.h"

namespace flotilla::raft {

// The log's shape: a base (the last entry that a snapshot replaced), runs of terms after it, and
// the configurations in force from the base on. It is small whatever the log's length, so it is
// kept whole in memory and goes to disk with each write.
//
// Owner:  Core; copied into Writes and records.
// Thread: its owner's.
// Errors: none; a caller that asks outside (base, last] or truncates below the base has a bug.
class LogShape {
public:
  LogShape();  // empty log from index 1, no configuration
  LogShape(LogPoint base, Configuration configuration);

  // As read from disk. Runs must rise in index and not fall in term; configurations must rise and
  // the first must be at or below the base. Answers nothing where they do not.
  static std::optional<LogShape> from(LogPoint base, std::vector<TermRun> runs,
                                      std::vector<ConfigurationAt> configurations);

  LogPoint base() const { return base_; }
  Index firstIndex() const { return base_.index + 1; }
  Index lastIndex() const { return runs_.empty() ? base_.index : runs_.back().last; }
  Term lastTerm() const { return runs_.empty() ? base_.term : runs_.back().term; }
  LogPoint last() const { return {lastIndex(), lastTerm()}; }

  // The term at `index`; nothing below the base or past the last.
  std::optional<Term> termAt(Index index) const;
  // Runs that cover (after, last], the first cut to begin after `after`.
  std::vector<TermRun> runs(Index after, Index last) const;
  const std::vector<TermRun>& allRuns() const { return runs_; }

  // The largest index whose term is at most `term` and which is at most `index`: the hint that lets
  // a leader skip whole terms (dissertation 3.5, and etcd's refinement).
  LogPoint lastAtMost(Index index, Term term) const;

  void append(Index last, Term term);  // entries (lastIndex, last] of one term
  void truncateAfter(Index last);      // entries after `last` are gone, their configurations too
  void compactTo(Index index);         // the base moves up to `index`, which must be in the log
  void reset(LogPoint base, Configuration configuration);  // a snapshot replaces everything

  // The last configuration at or below `index`. There is always one once the base has one.
  const ConfigurationAt& configurationAt(Index index) const;
  const ConfigurationAt& latestConfiguration() const { return configurations_->back(); }
  const std::vector<ConfigurationAt>& configurations() const { return *configurations_; }
  void addConfiguration(ConfigurationAt configuration);  // at an index in the log, rising

  bool operator==(const LogShape& other) const;

  // What most reads of it go to, where the shape itself has been fetched; then what that names.
  void prefetch() const {
    base::prefetchLine(runs_.data());
    base::prefetchLine(configurations_.get());
  }
  void prefetchDeep() const {
    if (!configurations_->empty()) base::prefetch(configurations_->back());
  }

private:
  using Configurations = std::vector<ConfigurationAt>;

  LogPoint base_;
  std::vector<TermRun> runs_;  // after the base, rising
  // The first is the base's. They change seldom and are copied with each write, so the copies share
  // them and whoever changes them makes others.
  std::shared_ptr<const Configurations> configurations_;
};

}  // namespace flotilla::raft

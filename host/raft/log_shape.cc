// Which term each index holds, and which configurations.
#include "host/raft/log_shape.h"

#include <algorithm>
#include <utility>

#include "host/base/assert.h"
#include "host/raft/membership.h"

namespace flotilla::raft {

namespace {

// The first run that reaches `index`.
template <typename Runs>
auto runOf(Runs& runs, Index index) {
  return std::lower_bound(runs.begin(), runs.end(), index,
                          [](const TermRun& run, Index wanted) { return run.last < wanted; });
}

}  // namespace

LogShape::LogShape() {
  static const auto none = std::make_shared<const Configurations>(1);
  configurations_ = none;
}

LogShape::LogShape(LogPoint base, Configuration configuration)
    : base_(base),
      configurations_(std::make_shared<const Configurations>(
          1, ConfigurationAt{base.index, std::move(configuration)})) {}

std::optional<LogShape> LogShape::from(LogPoint base, std::vector<TermRun> runs,
                                       std::vector<ConfigurationAt> configurations) {
  TermRun before{base.index, base.term};
  for (const TermRun& run : runs) {
    if (run.last <= before.last || run.term < before.term || run.term == 0) return std::nullopt;
    before = run;
  }
  if (configurations.empty() || configurations.front().index > base.index) return std::nullopt;
  for (size_t i = 0; i < configurations.size(); ++i) {
    const ConfigurationAt& at = configurations[i];
    bool none = i == 0 && at.configuration == Configuration{};
    if (!none && !sound(at.configuration)) return std::nullopt;
    if (at.index > before.last) return std::nullopt;
    if (i > 0 && at.index <= configurations[i - 1].index) return std::nullopt;
  }
  LogShape shape;
  shape.base_ = base;
  for (const TermRun& run : runs) shape.append(run.last, run.term);
  shape.configurations_ = std::make_shared<const Configurations>(std::move(configurations));
  return shape;
}

std::optional<Term> LogShape::termAt(Index index) const {
  if (index == base_.index) return base_.term;
  if (index < base_.index || index > lastIndex()) return std::nullopt;
  return runOf(runs_, index)->term;
}

std::vector<TermRun> LogShape::runs(Index after, Index last) const {
  ASSERT(after >= base_.index);
  ASSERT(last <= lastIndex());
  std::vector<TermRun> cut;
  if (after >= last) return cut;
  for (auto run = runOf(runs_, after + 1);; ++run) {
    cut.push_back({std::min(run->last, last), run->term});
    if (run->last >= last) return cut;
  }
}

LogPoint LogShape::lastAtMost(Index index, Term term) const {
  index = std::min(index, lastIndex());
  if (index < base_.index) return {};
  // Terms rise with the index, so the runs at or below `term` come first.
  auto above = std::upper_bound(runs_.begin(), runs_.end(), term,
                                [](Term wanted, const TermRun& run) { return wanted < run.term; });
  if (above != runs_.begin()) {
    Index last = std::min(index, std::prev(above)->last);
    return {last, *termAt(last)};
  }
  // What lies below the base is not known any more.
  return base_.term <= term ? base_ : LogPoint{};
}

void LogShape::append(Index last, Term term) {
  ASSERT(last > lastIndex());
  ASSERT(term >= lastTerm());
  if (!runs_.empty() && runs_.back().term == term) {
    runs_.back().last = last;
  } else {
    runs_.push_back({last, term});
  }
}

void LogShape::truncateAfter(Index last) {
  ASSERT(last >= base_.index);
  if (last >= lastIndex()) return;
  if (last == base_.index) {
    runs_.clear();
  } else {
    auto run = runOf(runs_, last);
    run->last = last;
    runs_.erase(std::next(run), runs_.end());
  }
  auto later = std::find_if(std::next(configurations_->begin()), configurations_->end(),
                            [&](const ConfigurationAt& at) { return at.index > last; });
  if (later == configurations_->end()) return;
  configurations_ = std::make_shared<const Configurations>(configurations_->begin(), later);
}

void LogShape::compactTo(Index index) {
  ASSERT(index >= base_.index);
  ASSERT(index <= lastIndex());
  base_ = {index, *termAt(index)};
  runs_.erase(runs_.begin(),
              std::upper_bound(runs_.begin(), runs_.end(), index,
                               [](Index wanted, const TermRun& run) { return wanted < run.last; }));
  // The configuration in force at the base stays, whatever entry brought it.
  auto inForce =
      std::prev(std::find_if(configurations_->begin(), configurations_->end(),
                             [&](const ConfigurationAt& at) { return at.index > index; }));
  if (inForce == configurations_->begin()) return;
  configurations_ = std::make_shared<const Configurations>(inForce, configurations_->end());
}

void LogShape::reset(LogPoint base, Configuration configuration) {
  *this = LogShape(base, std::move(configuration));
}

const ConfigurationAt& LogShape::configurationAt(Index index) const {
  for (auto at = configurations_->rbegin(); at != configurations_->rend(); ++at) {
    if (at->index <= index) return *at;
  }
  return configurations_->front();
}

void LogShape::addConfiguration(ConfigurationAt configuration) {
  ASSERT(configuration.index > configurations_->back().index);
  ASSERT(configuration.index > base_.index);
  ASSERT(configuration.index <= lastIndex());
  Configurations more(*configurations_);
  more.push_back(std::move(configuration));
  configurations_ = std::make_shared<const Configurations>(std::move(more));
}

bool LogShape::operator==(const LogShape& other) const {
  return base_ == other.base_ && runs_ == other.runs_ &&
         (configurations_ == other.configurations_ || *configurations_ == *other.configurations_);
}

}  // namespace flotilla::raft

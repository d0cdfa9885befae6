// A volume under test: what it reported, and what its replicas' logs must be.
#include "tests/store/volume_model.h"

#include <algorithm>
#include <atomic>
#include <chrono>

namespace flotilla::test {

void Reports::persisted(std::span<const std::pair<group::ReplicaKey, raft::WriteId>> writes) {
  std::lock_guard lock(mutex_);
  for (const auto& [key, write] : writes) safe[key] = write;
  ++persistedCalls;
  changed_.notify_all();
}

void Reports::fetched(group::ReplicaKey, group::Fetched answer) {
  std::lock_guard lock(mutex_);
  fetches.emplace(answer.id, std::move(answer.entries));
  changed_.notify_all();
}

void Reports::forgotten(group::ReplicaKey replica) {
  std::lock_guard lock(mutex_);
  gone.push_back(replica);
  changed_.notify_all();
}

void Reports::crowded(std::span<const group::ReplicaKey> replicas) {
  std::lock_guard lock(mutex_);
  crowding.assign(replicas.begin(), replicas.end());
  changed_.notify_all();
}

void Reports::full() {
  std::lock_guard lock(mutex_);
  ++fullCount;
  changed_.notify_all();
}

void Reports::reopened() {
  std::lock_guard lock(mutex_);
  ++reopenedCount;
  changed_.notify_all();
}

void Reports::failed(Fault fault) {
  std::lock_guard lock(mutex_);
  failure = std::move(fault);
  changed_.notify_all();
}

void Reports::damaged(group::ReplicaKey replica, Fault fault) {
  std::lock_guard lock(mutex_);
  damages.emplace_back(replica, std::move(fault));
  changed_.notify_all();
}

bool Reports::wait(const std::function<bool(const Reports&)>& condition) {
  std::unique_lock lock(mutex_);
  return changed_.wait_for(lock, std::chrono::seconds(10), [&] { return condition(*this); });
}

bool Reports::waitPersisted(group::ReplicaKey key, raft::WriteId write) {
  return wait([&](const Reports& reports) {
    auto found = reports.safe.find(key);
    return found != reports.safe.end() && found->second >= write;
  });
}

group::DiskWrite ReplicaModel::begin() {
  if (lastWrite == 0) {
    raft::Configuration configuration;
    configuration.voters = {1, 2, key.replica + 2};
    state.shape.reset({0, 0}, configuration);
    state.hard.term = 1;
  }
  group::DiskWrite write;
  write.id = ++lastWrite;
  return write;
}

std::string ReplicaModel::payload(raft::Index index, raft::Term term, size_t bytes) const {
  std::string text = std::to_string(key.group) + "." + std::to_string(key.replica) + ":" +
                     std::to_string(index) + "@" + std::to_string(term) + ";";
  std::string payload;
  while (payload.size() < bytes) payload += text;
  payload.resize(bytes);
  return payload;
}

group::DiskWrite ReplicaModel::append(int count, size_t bytes) {
  group::DiskWrite write = begin();
  for (int i = 0; i < count; ++i) {
    raft::Index index = state.shape.lastIndex() + 1;
    raft::Term term = state.hard.term;
    std::string text = payload(index, term, bytes);
    write.entries.push_back({index, term, Bytes::copyOf(text)});
    entries[index] = {term, text};
    state.shape.append(index, term);
  }
  write.state = state;
  return write;
}

group::DiskWrite ReplicaModel::overwrite(raft::Index from, int count, size_t bytes) {
  state.shape.truncateAfter(from - 1);
  entries.erase(entries.lower_bound(from), entries.end());
  state.hard.term += 1;
  return append(count, bytes);
}

group::DiskWrite ReplicaModel::compact(raft::Index to) {
  group::DiskWrite write = begin();
  state.snapshot = {to, *state.shape.termAt(to)};
  state.shape.compactTo(to);
  entries.erase(entries.begin(), entries.upper_bound(to));
  write.state = state;
  return write;
}

group::DiskWrite ReplicaModel::reset(raft::LogPoint point) {
  group::DiskWrite write = begin();
  raft::Configuration configuration = state.shape.latestConfiguration().configuration;
  state.shape.reset(point, configuration);
  state.hard.term = std::max(state.hard.term, point.term);
  state.snapshot = point;
  state.generation += 1;
  entries.clear();
  write.reset = true;
  write.state = state;
  return write;
}

group::DiskWrite ReplicaModel::vote(uint64_t replica) {
  group::DiskWrite write = begin();
  state.hard.term += 1;
  state.hard.vote = replica;
  write.state = state;
  return write;
}

store::VolumeOptions volumeOptions(const std::string& path, bool create) {
  store::VolumeOptions options;
  options.name = "main";
  options.path = path;
  options.create = create;
  options.layOutJournals = false;  // flipped, cut and compared byte by byte
  return options;
}

Result<std::vector<group::LogEntry>> fetchNow(store::LogVolume& volume, Reports& reports,
                                              group::ReplicaKey key, group::DiskFetch fetch) {
  static std::atomic<uint64_t> next{1'000'000};
  fetch.id = next++;
  volume.fetch(key, fetch);
  Result<std::vector<group::LogEntry>> answer = Fault{ErrorCode::timeout, "no answer", {}};
  reports.wait([&](const Reports& seen) {
    auto found = seen.fetches.find(fetch.id);
    if (found == seen.fetches.end()) return false;
    answer = found->second;
    return true;
  });
  return answer;
}

std::string compareLog(store::LogVolume& volume, Reports& reports, const ReplicaModel& model) {
  auto index = model.state.shape.firstIndex();
  std::string who =
      std::to_string(model.key.group) + "-" + std::to_string(model.key.replica) + ": ";
  while (index <= model.state.shape.lastIndex()) {
    group::DiskFetch fetch{0, index - 1, model.state.shape.lastIndex(), 100'000};
    auto got = fetchNow(volume, reports, model.key, fetch);
    if (!got) return who + got.fault().text;
    if (got->empty()) return who + "a fetch answered nothing";
    for (const group::LogEntry& entry : *got) {
      const auto& [term, payload] = model.entries.at(index);
      if (entry.index != index || entry.term != term || entry.payload.view() != payload) {
        return who + "entry " + std::to_string(index) + " differs";
      }
      ++index;
    }
  }
  return {};
}

std::string compare(store::LogVolume& volume, Reports& reports,
                    const std::vector<store::RecoveredReplica>& recovered,
                    const ReplicaModel& model) {
  for (const store::RecoveredReplica& replica : recovered) {
    if (replica.key != model.key) continue;
    if (replica.fault) return replica.fault->text;
    const group::ReplicaState& state = replica.state;
    if (!(state.hard == model.state.hard)) return "hard state differs";
    if (!(state.shape == model.state.shape)) return "shape differs";
    if (!(state.snapshot == model.state.snapshot)) return "snapshot differs";
    if (state.generation != model.state.generation) return "generation differs";
    return compareLog(volume, reports, model);
  }
  return "not recovered";
}

}  // namespace flotilla::test

// A volume under test: what it reported, and what its replicas' logs must be.
#pragma once

#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "host/store/log_volume.h"

namespace flotilla::test {

// Records a volume's reports; a test waits for one with a deadline.
//
// Owner: the test. Thread: any. Errors: none.
class Reports final : public store::VolumeEvents {
public:
  void persisted(std::span<const std::pair<group::ReplicaKey, raft::WriteId>> writes) override;
  void fetched(group::ReplicaKey replica, group::Fetched fetched) override;
  void forgotten(group::ReplicaKey replica) override;
  void crowded(std::span<const group::ReplicaKey> replicas) override;
  void full() override;
  void reopened() override;
  void failed(Fault fault) override;
  void damaged(group::ReplicaKey replica, Fault fault) override;

  // False after ten seconds in which it did not become true.
  bool wait(const std::function<bool(const Reports&)>& condition);
  bool waitPersisted(group::ReplicaKey key, raft::WriteId write);

  // Read inside wait's condition, or once the volume is stopped.
  std::map<group::ReplicaKey, raft::WriteId> safe;
  std::map<uint64_t, Result<std::vector<group::LogEntry>>> fetches;
  std::vector<group::ReplicaKey> gone;
  std::vector<group::ReplicaKey> crowding;  // as last said
  std::vector<std::pair<group::ReplicaKey, Fault>> damages;
  int fullCount = 0;
  int reopenedCount = 0;
  int persistedCalls = 0;
  std::optional<Fault> failure;

private:
  std::mutex mutex_;
  std::condition_variable changed_;
};

// What a replica's log must be, and the writes that bring it there.
//
// Owner: the test. Thread: one. Errors: none.
class ReplicaModel {
public:
  explicit ReplicaModel(group::ReplicaKey replica) : key(replica) {}

  group::DiskWrite append(int count, size_t bytes);  // at the end, of the current term
  group::DiskWrite overwrite(raft::Index from, int count, size_t bytes);  // in a new term
  group::DiskWrite compact(raft::Index to);
  group::DiskWrite reset(raft::LogPoint point);
  group::DiskWrite vote(uint64_t replica);

  std::string payload(raft::Index index, raft::Term term, size_t bytes) const;

  group::ReplicaKey key;
  group::ReplicaState state;
  std::map<raft::Index, std::pair<raft::Term, std::string>> entries;
  raft::WriteId lastWrite = 0;

private:
  group::DiskWrite begin();
};

store::VolumeOptions volumeOptions(const std::string& path, bool create);

// What is recovered of `model` is exactly what it says; entries are fetched and compared. Empty
// where all is right, else the first difference.
std::string compare(store::LogVolume& volume, Reports& reports,
                    const std::vector<store::RecoveredReplica>& recovered,
                    const ReplicaModel& model);
std::string compareLog(store::LogVolume& volume, Reports& reports, const ReplicaModel& model);

// Fetches and waits for the answer.
Result<std::vector<group::LogEntry>> fetchNow(store::LogVolume& volume, Reports& reports,
                                              group::ReplicaKey key, group::DiskFetch fetch);

}  // namespace flotilla::test

// What a start must know of a replica, kept in its record.
#include <algorithm>
#include <utility>

#include "host/base/log.h"
#include "host/runtime/io_thread.h"
#include "host/runtime/machine_lane.h"
#include "host/runtime/replica.h"
#include "host/store/meta_store.h"

namespace flotilla::runtime {
namespace {

constexpr uint32_t kWriteAgainTicks = 10;

}  // namespace

StoredReplica Replica::changedRecord(bool rebuilt) const {
  StoredReplica next = *record_;
  next.options = optionTexts_;
  next.optionsVersion = optionsVersion_;
  next.soundness = rebuilt ? group::Soundness::sound : group_->soundness();
  next.unsoundAt = rebuilt ? 0 : std::max(group_->quarantinedAt(), group_->rebuildFrom());
  next.unsoundBecause = group_->quarantinedAt() != 0 ? group_->fault()->text : "";
  return next;
}

// What a start must know, kept in its record: its options where they have changed, and of the
// machine here that it differs from a majority, or that a peer's is awaited. Once that has come,
// files of the former machine go first.
void Replica::recordChanges() {
  group::Soundness now = group_->soundness();
  bool rebuilt = group_->isRebuilt();
  bool same = now == record_->soundness && !rebuilt && optionsVersion_ == record_->optionsVersion;
  if (recording_ || same || ticks() < recordAt_ || (rebuilt && !formerSavesEnded())) return;
  recording_ = true;
  StoredReplica next = changedRecord(rebuilt);
  if (now != record_->soundness && now == group::Soundness::quarantined) {
    base::logError("group " + record_->name + ": " + next.unsoundBecause);
  } else if (rebuilt) {
    base::logInfo("group " + record_->name + ": rebuilt from a peer's snapshot at " +
                  std::to_string(group_->status().snapshotIndex));
  }
  auto work = [&meta = around_.meta, &snapshots = room_.snapshots(), &places = room_.machines(),
               next, rebuilt, kept = group_->status().snapshotIndex,
               place = lane_->place()]() -> Result<void> {
    if (rebuilt) {
      if (auto removed = snapshots.removeOthers(next.key, kept); !removed) return removed;
      if (place != MachineLane::kNoPlace) {
        if (auto removed = places.removeBelow(next.key, place); !removed) return removed;
      }
    }
    // One that is being removed has a tombstone by now, and nothing comes after that.
    auto before = meta.get(replicaKey(next.key));
    auto known = before ? decodeReplica(*before) : Result<StoredReplica>(StoredReplica{});
    if (!before || !known || known->tombstone) return {};
    return meta.put(replicaKey(next.key), encode(next));
  };
  around_.files.post([work = std::move(work), &inbox = around_.inbox, next, rebuilt,
                      self = weak_from_this()]() mutable {
    Result<void> put = work();
    inbox.post([put = std::move(put), next = std::move(next), rebuilt, self]() {
      auto here = self.lock();
      if (!here) return;
      if (put && rebuilt) here->group_->forgotten();  // not where options alone were written
      here->recorded(next, put);
    });
  });
}

void Replica::recorded(const StoredReplica& written, const Result<void>& put) {
  recording_ = false;
  if (!put) {
    base::logError("group " + record_->name + ": its record: " + put.fault().text +
                   "; tried again");
    recordAt_ = ticks() + kWriteAgainTicks;
    return;
  }
  record_ = std::make_shared<const StoredReplica>(written);
  touch();
}

}  // namespace flotilla::runtime

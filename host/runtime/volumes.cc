// The volumes of this host: where logs and snapshots lie.
#include "host/runtime/volumes.h"

#include "host/store/files.h"

namespace flotilla::runtime {
namespace {

std::string logPath(const Volume& volume) {
  return volume.path + "/log";
}
std::string snapshotPath(const Volume& volume) {
  return volume.path + "/snapshots";
}
std::string machinePath(const Volume& volume) {
  return volume.path + "/machines";
}

}  // namespace

VolumeRoom::VolumeRoom(Volume volume, Inbox& inbox, DiskListener& listener)
    : volume_(std::move(volume)),
      inbox_(inbox),
      listener_(listener),
      snapshots_(snapshotPath(volume_)),
      machines_(machinePath(volume_)) {}

Result<void> VolumeRoom::open(const Config& config, bool create) {
  store::VolumeOptions options;
  options.name = volume_.name;
  options.path = logPath(volume_);
  options.create = create;
  options.generationBytes = config.generationBytes;
  options.generationsBytesMax = config.generationBytes * 8;
  options.layOutJournals = config.preallocate;
  options.ballastBytes = config.ballastBytes;
  auto opened = store::LogVolume::open(std::move(options), *this);
  if (!opened) return opened.fault();
  log_ = std::move(*opened);
  if (auto made = machines_.open(); !made) return made;
  return snapshots_.open();
}

void VolumeRoom::persisted(std::span<const std::pair<group::ReplicaKey, raft::WriteId>> writes) {
  inbox_.post([this, copy = DiskListener::Written(writes.begin(), writes.end())]() {
    listener_.persisted(copy);
  });
}

void VolumeRoom::fetched(group::ReplicaKey replica, group::Fetched fetched) {
  inbox_.post([this, replica, fetched = std::move(fetched)]() mutable {
    listener_.fetched(replica, std::move(fetched));
  });
}

void VolumeRoom::forgotten(group::ReplicaKey replica) {
  inbox_.post([this, replica]() { listener_.forgotten(replica); });
}

void VolumeRoom::crowded(std::span<const group::ReplicaKey> replicas) {
  inbox_.post(
      [this, copy = std::vector(replicas.begin(), replicas.end())]() { listener_.crowded(copy); });
}

void VolumeRoom::full() {
  inbox_.post([this]() {
    full_ = true;
    listener_.volumeFull(*this, true);
  });
}

void VolumeRoom::reopened() {
  inbox_.post([this]() {
    full_ = false;
    listener_.volumeFull(*this, false);
  });
}

void VolumeRoom::failed(Fault fault) {
  inbox_.post([this, fault = std::move(fault)]() { listener_.diskFailed(fault); });
}

void VolumeRoom::damaged(group::ReplicaKey replica, Fault fault) {
  inbox_.post([this, replica, fault = std::move(fault)]() { listener_.damaged(replica, fault); });
}

Volumes::Volumes(const Config& config, Inbox& inbox, DiskListener& listener) : config_(config) {
  for (const Volume& volume : config.volumes) {
    rooms_.push_back(std::make_unique<VolumeRoom>(volume, inbox, listener));
  }
}

Result<void> Volumes::create(const Config& config, std::vector<std::string>& made) {
  struct Nobody final : store::VolumeEvents {
    void persisted(std::span<const std::pair<group::ReplicaKey, raft::WriteId>>) override {}
    void fetched(group::ReplicaKey, group::Fetched) override {}
    void forgotten(group::ReplicaKey) override {}
    void crowded(std::span<const group::ReplicaKey>) override {}
    void full() override {}
    void reopened() override {}
    void failed(Fault) override {}
    void damaged(group::ReplicaKey, Fault) override {}
  } nobody;
  for (const Volume& volume : config.volumes) {
    if (auto there = store::makeDirectories(volume.path); !there) return there;
    for (const std::string& path : {logPath(volume), snapshotPath(volume)}) {
      if (!store::exists(path)) made.push_back(path);
    }
    store::VolumeOptions options;
    options.name = volume.name;
    options.path = logPath(volume);
    options.create = true;
    options.layOutJournals = false;  // it is closed again at once
    options.ballastBytes = config.ballastBytes;
    auto opened = store::LogVolume::open(std::move(options), nobody);
    if (!opened) return opened.fault();
    store::SnapshotFiles snapshots(snapshotPath(volume));
    if (auto there = snapshots.open(); !there) return there;
  }
  return {};
}

Result<void> Volumes::open() {
  for (auto& room : rooms_) {
    if (auto opened = room->open(config_, false); !opened) return opened;
    for (store::RecoveredReplica& found : room->log().recovered()) {
      group::ReplicaKey key = found.key;
      recovered_.insert_or_assign(key, std::make_pair(room.get(), std::move(found)));
    }
  }
  return {};
}

void Volumes::start() {
  for (auto& room : rooms_) room->start();
}

void Volumes::stop() {
  for (auto& room : rooms_) room->stop();
}

VolumeRoom* Volumes::find(const std::string& name) {
  if (name.empty()) return rooms_.front().get();
  for (auto& room : rooms_) {
    if (room->name() == name) return room.get();
  }
  return nullptr;
}

std::optional<store::RecoveredReplica> Volumes::takeRecovered(group::ReplicaKey replica) {
  auto at = recovered_.find(replica);
  if (at == recovered_.end()) return std::nullopt;
  store::RecoveredReplica found = std::move(at->second.second);
  recovered_.erase(at);
  return found;
}

std::vector<std::pair<VolumeRoom*, group::ReplicaKey>> Volumes::unclaimed() const {
  std::vector<std::pair<VolumeRoom*, group::ReplicaKey>> left;
  for (const auto& [key, found] : recovered_) left.emplace_back(found.first, key);
  return left;
}

}  // namespace flotilla::runtime

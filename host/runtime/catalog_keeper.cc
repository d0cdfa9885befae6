// Keeps this host's view of the catalog, and makes true here what it wants.
#include "host/runtime/catalog_keeper.h"

#include <algorithm>

#include "host/base/log.h"
#include "host/catalog/spec.h"
#include "host/group/entry.h"
#include "host/net/refusal.h"
#include "host/runtime/flat_words.h"
#include "host/runtime/host_parts.h"
#include "host/runtime/machine_lane.h"
#include "host/store/files.h"
#include "schemas/catalog.capnp.h"

namespace flotilla::runtime {
namespace {

constexpr auto kPassEvery = 1 * kj::SECONDS;
constexpr kj::Duration kPassPause = 5 * kj::MILLISECONDS;
constexpr auto kLookAtAllEvery = 30 * kj::SECONDS;
constexpr int64_t kPassShare = 4;  // passes have a fifth of the loop at most
constexpr uint64_t kReportMs = 5000;
static_assert(catalog::kPassMax <= 1000);  // of a report
constexpr uint16_t kSwitchGroup = 6;       // in schemas/catalog.capnp

using schema::Catalog;

schema::CatalogReplica::State wireState(catalog::ReplicaPhase phase) {
  switch (phase) {
    case catalog::ReplicaPhase::wanted:
      return schema::CatalogReplica::State::WANTED;
    case catalog::ReplicaPhase::ready:
      return schema::CatalogReplica::State::READY;
    case catalog::ReplicaPhase::removed:
      return schema::CatalogReplica::State::REMOVED;
  }
  return schema::CatalogReplica::State::WANTED;
}

}  // namespace

Result<void> CatalogKeeper::openStored() {
  if (auto floor = parts_.meta->get(std::string(kFloorKey))) floor_ = std::stoull(*floor);
  std::vector<StoredReplica> records;
  std::map<VolumeRoom*, std::vector<group::ReplicaKey>> begun;
  for (const auto& [key, bytes] : parts_.meta->scan(kReplicaPrefix)) {
    auto record = decodeReplica(bytes);
    if (!record) return record.fault();
    VolumeRoom* room = roomOf(*record);
    bool begins = !record->tombstone && record->soundness == group::Soundness::sound;
    if (begins && room != nullptr) begun[room].push_back(record->key);
    records.push_back(std::move(*record));
  }
  for (const auto& [room, keys] : begun) room->machines().openAhead(keys);
  Crowd crowd{.replicas = static_cast<uint32_t>(records.size()), .standBefore = 0};
  for (StoredReplica& record : records) {
    if (record.tombstone) {
      // Its files may not all have gone: it is wiped once more, which is harmless.
      parts_.volumes.takeRecovered(record.key);
      tombstones_.emplace(record.key, std::move(record));
    } else {
      bool preferred = record.preferredLeader == record.key.replica;
      openReplica(std::move(record), crowd);
      if (preferred) ++crowd.standBefore;
    }
  }
  for (const auto& [room, keys] : begun) room->machines().closeAhead();
  for (const auto& [room, key] : parts_.volumes.unclaimed()) {
    base::logWarn("group id:" + std::to_string(key.group) +
                  ": its log is here and its record is not; dropped");
    room->log().forget(key);
  }
  return sweepSnapshots();
}

// Directories of replicas that no record names: a removal was cut off after its last record.
Result<void> CatalogKeeper::sweepSnapshots() {
  for (const auto& room : parts_.volumes.all()) {
    auto found = room->snapshots().replicas();
    if (!found) return found.fault();
    for (group::ReplicaKey key : *found) {
      if (parts_.replicas.find(key) != nullptr) continue;
      if (auto removed = room->snapshots().removeReplica(key); !removed) return removed;
    }
    auto machines = room->machines().replicas();
    if (!machines) return machines.fault();
    for (group::ReplicaKey key : *machines) {
      if (parts_.replicas.find(key) != nullptr) continue;
      if (auto removed = room->machines().removeReplica(key); !removed) return removed;
    }
  }
  return {};
}

VolumeRoom* CatalogKeeper::roomOf(const StoredReplica& record) {
  auto options = catalog::readOptions(record.options);
  return parts_.volumes.find(options ? options->volume : "");
}

void CatalogKeeper::openReplica(StoredReplica record, Crowd crowd) {
  VolumeRoom* room = roomOf(record);
  std::optional<Fault> missing;
  if (room == nullptr) {
    auto options = catalog::readOptions(record.options);
    std::string volume = options ? options->volume : "";
    missing =
        Fault{ErrorCode::io, "volume \"" + volume + "\" is not in this host's storage.volumes", ""};
    room = parts_.volumes.find("");
  }
  group::ReplicaKey key = record.key;
  auto replica = Replica::open(std::move(record), *room, parts_.volumes.takeRecovered(key),
                               *parts_.shared, crowd);
  if (missing) replica->breakWith(std::move(*missing));
  if (replica->broken()) {
    base::logError("group " + replica->record().name + ": " + replica->broken()->text +
                   "; its replica here is stopped, the others go on");
  }
  if (key.group == kCatalogGroup) replica->onApplied = [this]() { wake(); };
  parts_.replicas.add(std::move(replica));
}

void CatalogKeeper::wake() {
  woken_ = true;
  KJ_IF_MAYBE (fulfiller, wake_) {
    (*fulfiller)->fulfill();
    wake_ = nullptr;
  }
}

kj::Promise<void> CatalogKeeper::run() {
  if (!parts_.replicas.find(kCatalogGroup)) {
    // The founding's record is safe, so group 0 may begin here: empty, once.
    StoredReplica record;
    record.key = {kCatalogGroup, parts_.config.hostId};
    record.incarnation = kCatalogIncarnation;
    record.name = catalog::kOwnName;
    for (const auto& each : parts_.founding->hosts) {
      record.members.push_back({each.id, each.id, each.address});
      record.initialVoters.push_back(each.id);
    }
    record.preferredLeader = parts_.founding->hosts.front().id;
    auto work = [this, record]() {
      return parts_.meta->put(replicaKey(record.key), encode(record));
    };
    return parts_.files.run(std::move(work))
        .then([this, record](Result<void> put) -> kj::Promise<void> {
          if (!put) {
            base::logError("meta: " + put.fault().text + "; the host stops");
            parts_.host.stop();
            return kj::READY_NOW;
          }
          openReplica(record);
          return run();
        });
  }
  woken_ = false;
  return pass()
      .then([this]() {
        // With many groups a pass is long: what comes meanwhile shares the next one.
        return parts_.timer.afterDelay(std::max(passTook_ * kPassShare, kPassPause));
      })
      .then([this]() -> kj::Promise<void> {
        if (woken_) return kj::READY_NOW;
        auto paf = kj::newPromiseAndFulfiller<void>();
        wake_ = kj::mv(paf.fulfiller);
        return paf.promise.exclusiveJoin(parts_.timer.afterDelay(kPassEvery));
      })
      .then([this]() { return run(); });
}

kj::Promise<void> CatalogKeeper::pass() {
  return reader_.read()
      .then([this]() {
        CatalogReader::News news = reader_.takeNews();
        if (news.ofAll) lookAtAllFrom_ = parts_.timer.now();
        changed_.merge(news.groups);
        return registerHost();
      })
      .then([this]() -> kj::Promise<void> {
        if (!view().complete()) return kj::READY_NOW;
        return carryOut(compare());
      })
      .then([this]() { return declared_.declare(view()); })
      .catch_([this](kj::Exception&& exception) {
        lookAtAllFrom_ = parts_.timer.now();
        base::logWarn(std::string("catalog: ") + exception.getDescription().cStr() +
                      "; tried again");
      });
}

// What is wanted of the groups that have changed, or of all.
catalog::Reconciled CatalogKeeper::compare() {
  int64_t began = parts_.clock.monotonicUs();
  kj::TimePoint now = parts_.timer.now();
  auto plugins = parts_.plugins->list();
  bool all = !settled_ || now >= lookAtAllFrom_ || now < lookAtAllUntil_ || plugins != plugins_;
  plugins_ = std::move(plugins);
  std::set<uint64_t> changed = std::exchange(changed_, {});
  if (all) {
    lookAtAllFrom_ = now + kLookAtAllEvery;
    retryFetched();
    for (const auto& [group, replica] : parts_.replicas.all()) tellOfSwitch(*replica);
  }
  for (uint64_t group : changed) {
    if (const Replica* replica = parts_.replicas.find(group)) tellOfSwitch(*replica);
  }
  const std::set<uint64_t>* only = all ? nullptr : &changed;
  catalog::Reconciled wanted = catalog::reconcile(view(), local(only), only);
  if (wanted.cut()) lookAtAllFrom_ = now;
  if (all && wanted.idle()) settled_ = true;
  passTook_ = (parts_.clock.monotonicUs() - began) * kj::MICROSECONDS;
  return wanted;
}

void CatalogKeeper::groupChanged(uint64_t group) {
  changed_.insert(group);
  wake();
}

kj::Promise<void> CatalogKeeper::registerHost() {
  uint32_t format = parts_.id.format;
  // One at a time: what says less must not arrive last.
  if (registering_ || registered_ == format) return kj::READY_NOW;
  bool marked = format >= store::HostId::kFormat;
  auto params = flatWords<Catalog::RegisterHostParams>(
      [this, marked](Catalog::RegisterHostParams::Builder to) {
        auto host = to.initHost();
        host.setId(parts_.config.hostId);
        host.setBirth(parts_.id.birth);
        host.setAddress(parts_.config.founders.at(parts_.config.hostId));
        host.setVersion(Host::version());
        host.setBootNumber(parts_.bootNumber);
        host.setClusterVersion(marked ? group::kEntriesVersion : group::kUnmarkedVersion);
        host.setFounder(true);
        host.setHttp(parts_.config.http);
        auto volumes = host.initVolumes(static_cast<unsigned>(parts_.config.volumes.size() - 1));
        for (unsigned i = 0; i < volumes.size(); ++i)
          volumes.set(i, parts_.config.volumes[i + 1].name);
      });
  // In the background: service goes on without the catalog's quorum.
  registering_ = true;
  parts_.tasks.add(parts_.host.catalogCall(0, std::move(params), kReportMs)
                       .then([this, format](group::Outcome outcome) {
                         if (outcome.ok()) registered_ = format;
                         if (outcome.code != ErrorCode::app)
                           return;  // no leader yet; the next pass asks again
                         base::logError("catalog: does not take this host: " +
                                        std::string(outcome.body.view()));
                       })
                       .attach(kj::defer([this]() { registering_ = false; })));
  return kj::READY_NOW;
}

catalog::LocalState CatalogKeeper::local(const std::set<uint64_t>* only) const {
  catalog::LocalState local;
  local.host = parts_.config.hostId;
  local.birth = parts_.id.birth;
  local.floor = floor_;
  local.plugins = plugins_;
  if (only == nullptr) {
    for (const auto& [group, replica] : parts_.replicas.all()) add(*replica, local);
  } else {
    for (uint64_t group : *only) {
      if (const Replica* replica = parts_.replicas.find(group)) add(*replica, local);
    }
  }
  for (const auto& [key, record] : tombstones_) {
    if (only != nullptr && only->count(key.group) == 0) continue;
    local.replicas.push_back(
        {key.group, record.incarnation, key.replica,
         wiped_.count(key) != 0 ? catalog::LocalPhase::tombstone : catalog::LocalPhase::removing,
         record.optionsVersion});
  }
  return local;
}

void CatalogKeeper::add(const Replica& replica, catalog::LocalState& to) const {
  const StoredReplica& record = replica.record();
  if (record.key.group == kCatalogGroup) return;
  to.replicas.push_back(
      {record.key.group, record.incarnation, record.key.replica,
       replica.hadLeader() ? catalog::LocalPhase::ready : catalog::LocalPhase::present,
       replica.optionsVersion()});
}

kj::Promise<void> CatalogKeeper::carryOut(catalog::Reconciled wanted) {
  kj::Vector<kj::Promise<void>> begun;
  // One action that cannot even begin holds up no other.
  auto guard = [this](auto&& action, std::string what) {
    return kj::evalNow(action).catch_([this, what](kj::Exception&& exception) {
      std::string why = net::faultOf(exception).text;
      std::string& said = troubles_[what];
      if (said != why) base::logWarn(what + ": " + why + "; tried again");
      said = why;
      lookAtAllFrom_ = parts_.timer.now();
    });
  };
  for (auto& each : wanted.fetch) {
    begun.add(guard([&]() { return fetch(each); }, "plugin " + each.plugin->nameAndVersion()));
  }
  if (!wanted.start.empty()) {
    begun.add(guard([&]() { return start(std::move(wanted.start)); }, "new replicas"));
  }
  for (auto& each : wanted.wipe) {
    begun.add(guard([&]() { return wipe(each); }, "group id:" + std::to_string(each.group)));
  }
  if (!wanted.drop.empty()) {
    begun.add(guard([&]() { return drop(wanted.drop, wanted.floor); }, "tombstones"));
  }
  for (const catalog::SetOptions& each : wanted.set) {
    Replica* replica = parts_.replicas.find(each.group->id);
    if (replica != nullptr) replica->setOptions(*each.group);
  }
  bool changes = !begun.empty();
  report(std::move(wanted.reportReplicas), std::move(wanted.reportPlugins));
  return kj::joinPromises(begun.releaseAsArray()).then([this, changes]() {
    if (changes) wake();
  });
}

// All records in one synced batch, then the replicas.
kj::Promise<void> CatalogKeeper::start(std::vector<catalog::StartReplica> wanted) {
  std::vector<StoredReplica> records;
  std::vector<store::MetaChange> batch;
  for (const catalog::StartReplica& each : wanted) {
    records.push_back(recordOf(each));
    batch.push_back({replicaKey(records.back().key), encode(records.back())});
  }
  auto work = [this, batch = std::move(batch)]() { return parts_.meta->apply(batch); };
  return parts_.files.run(std::move(work))
      .then([this, records = std::move(records)](Result<void> put) mutable {
        if (!put) kj::throwFatalException(net::refusal(put.fault()));
        for (StoredReplica& record : records) {
          changed_.insert(record.key.group);
          openReplica(std::move(record));
        }
      });
}

StoredReplica CatalogKeeper::recordOf(const catalog::StartReplica& wanted) const {
  const catalog::GroupRecord& group = *wanted.group;
  StoredReplica record;
  record.key = {group.id, wanted.replica};
  record.incarnation = group.incarnation;
  record.name = group.spec.name;
  record.pluginSha256 = group.first();
  record.pluginName = group.pluginName;
  record.pluginVersion = group.pluginVersion;
  record.options = group.spec.options;
  record.optionsVersion = group.optionsVersion;
  record.config = group.spec.config;
  record.initialVoters = wanted.initialVoters;
  record.initialLearners = wanted.initialLearners;
  for (const auto& each : group.replicas) {
    record.members.push_back({each.id, each.host, parts_.host.addressOf(each.host)});
  }
  if (!group.replicas.empty()) record.preferredLeader = group.replicas.front().id;
  return record;
}

// Tombstone first; from then on the replica is gone whatever happens, and the rest can be repeated.
kj::Promise<void> CatalogKeeper::wipe(catalog::WipeReplica wanted) {
  group::ReplicaKey key{wanted.group, wanted.replica};
  StoredReplica record;
  VolumeRoom* room = nullptr;
  if (Replica* replica = parts_.replicas.find(key)) {
    record = replica->record();
    room = &replica->room();
  } else if (auto at = tombstones_.find(key); at != tombstones_.end()) {
    record = at->second;
  }
  record.key = key;
  record.incarnation = wanted.incarnation;
  record.tombstone = true;
  if (room == nullptr) {
    auto options = catalog::readOptions(record.options);
    room = parts_.volumes.find(options ? options->volume : "");
    if (room == nullptr) room = parts_.volumes.find("");
  }
  auto work = [this, record]() { return parts_.meta->put(replicaKey(record.key), encode(record)); };
  return parts_.files.run(std::move(work))
      .then([this, record, room](Result<void> put) {
        if (!put) kj::throwFatalException(net::refusal(put.fault()));
        tombstones_[record.key] = record;
        parts_.replicas.remove(record.key.group);
        if (parts_.marks) parts_.marks->forget(record.key);
        return parts_.replicas.forgetLog(*room, record.key);
      })
      .then([this, record, room]() {
        return parts_.files.run([room, key = record.key]() -> Result<void> {
          if (auto removed = room->snapshots().removeReplica(key); !removed) return removed;
          return room->machines().removeReplica(key);
        });
      })
      .then([this, record](Result<void> removed) {
        if (!removed) kj::throwFatalException(net::refusal(removed.fault()));
        wiped_.insert(record.key);
        changed_.insert(record.key.group);
      });
}

kj::Promise<void> CatalogKeeper::drop(std::vector<catalog::DropTombstone> wanted, uint64_t floor) {
  std::vector<store::MetaChange> batch;
  for (const auto& each : wanted)
    batch.push_back({replicaKey({each.group, each.replica}), std::nullopt});
  batch.push_back({std::string(kFloorKey), std::to_string(floor)});
  auto work = [this, batch = std::move(batch)]() { return parts_.meta->apply(batch); };
  return parts_.files.run(std::move(work)).then([this, wanted, floor](Result<void> applied) {
    if (!applied) kj::throwFatalException(net::refusal(applied.fault()));
    floor_ = floor;
    for (const auto& each : wanted) {
      tombstones_.erase({each.group, each.replica});
      wiped_.erase({each.group, each.replica});
    }
  });
}

// What a group's log has switched to is so; the catalog hears of it from whoever leads the group,
// again and again until it says so itself.
void CatalogKeeper::tellOfSwitch(const Replica& replica) {
  if (telling_ || replica.broken() || !replica.group().leads()) return;
  MachineLane::Switched switched = replica.lane().switched();
  if (switched.at == 0) return;
  catalog::GroupPointer known = view().group(replica.record().key.group);
  if (!known || known->switchedAt >= switched.at) return;
  auto params = flatWords<Catalog::SwitchGroupParams>([&](Catalog::SwitchGroupParams::Builder to) {
    to.setId(known->id);
    to.setIncarnation(known->incarnation);
    to.setSha256(switched.sha256);
    to.setAt(switched.at);
  });
  telling_ = true;
  parts_.tasks.add(parts_.host.catalogCall(kSwitchGroup, std::move(params), kReportMs)
                       .then([this, id = known->id](group::Outcome outcome) {
                         telling_ = false;
                         lookAtAllFrom_ = parts_.timer.now();  // others may have waited for this
                         if (outcome.code != ErrorCode::app) return wake();
                         base::logError("catalog: " + std::string(outcome.body.view()));
                       }));
}

// In the background, one at a time: what is wanted here goes on without the catalog's quorum. What
// cannot be said now is looked at again.
void CatalogKeeper::report(std::vector<catalog::ReportedReplica> replicas,
                           std::vector<std::string> plugins) {
  if (replicas.empty() && plugins.empty()) return;
  std::set<uint64_t> groups;
  for (const auto& each : replicas) groups.insert(each.group);
  if (reporting_) {
    changed_.insert(groups.begin(), groups.end());
    return;
  }
  reporting_ = true;
  auto params = flatWords<Catalog::ReportParams>([&](Catalog::ReportParams::Builder to) {
    auto report = to.initReport();
    report.setHost(parts_.config.hostId);
    report.setBirth(parts_.id.birth);
    auto list = report.initReplicas(static_cast<unsigned>(replicas.size()));
    for (unsigned i = 0; i < list.size(); ++i) {
      list[i].setGroup(replicas[i].group);
      list[i].setIncarnation(replicas[i].incarnation);
      list[i].setReplica(replicas[i].replica);
      list[i].setState(wireState(replicas[i].phase));
    }
    auto files = report.initPlugins(static_cast<unsigned>(plugins.size()));
    for (unsigned i = 0; i < files.size(); ++i) files.set(i, plugins[i]);
  });
  parts_.tasks.add(parts_.host.catalogCall(4, std::move(params), kReportMs)
                       .then([this, groups = std::move(groups)](const group::Outcome& outcome) {
                         reporting_ = false;
                         // Else the catalog's change will name them.
                         if (!outcome.ok()) changed_.insert(groups.begin(), groups.end());
                         wake();
                       }));
}

}  // namespace flotilla::runtime

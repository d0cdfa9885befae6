// This host's view of the catalog, kept up with its replica of group 0.
#include "host/runtime/catalog_reader.h"

#include <algorithm>
#include <utility>

#include "host/base/log.h"
#include "host/group/entry.h"
#include "host/runtime/flat_words.h"
#include "host/runtime/host_parts.h"
#include "schemas/catalog.capnp.h"

namespace flotilla::runtime {
namespace {

using schema::Catalog;

constexpr uint16_t kChanges = 5;  // in schemas/catalog.capnp

}  // namespace

kj::Promise<void> CatalogReader::read() {
  group::Call call;
  call.interfaceId = capnp::typeId<Catalog>();
  call.method = kChanges;
  call.params = flatWords<Catalog::ChangesParams>([this](Catalog::ChangesParams::Builder params) {
    params.setAfter(view_.revision());
    params.setWalking(!view_.complete());
  });
  std::vector<group::Call> calls;
  calls.push_back(std::move(call));
  group::Freshness anyAge{group::Freshness::Kind::stale, 0};
  return parts_.router.query({kCatalogGroup, kCatalogIncarnation}, std::move(calls), anyAge, false)
      .then([this](Outcomes outcomes) -> kj::Promise<void> {
        if (take(outcomes.front())) return read();
        return markDisk();
      });
}

// True where there is more.
bool CatalogReader::take(const group::Outcome& outcome) {
  if (!outcome.ok()) {
    failed(outcome);
    return false;
  }
  trouble_.clear();
  FlatReader reader(outcome.body);
  auto changes = reader.root<Catalog::ChangesResults>().getChanges();
  uint64_t before = view_.revision();
  std::vector<uint64_t> touched;
  view_ = view_.with(changes, &touched);
  news_.ofAll = news_.ofAll || changes.getHosts().size() + changes.getPlugins().size() > 0;
  news_.groups.insert(touched.begin(), touched.end());
  learnVersion();
  if (view_.revision() != before) {
    KJ_IF_MAYBE (network, parts_.network) {  // peers may have moved since the founding
      for (const auto& host : view_.hosts()) (*network)->setPeer(host->id, host->address);
    }
    for (auto& each : std::exchange(waiting_, {})) each->fulfill();
  }
  return changes.getMore();
}

void CatalogReader::learnVersion() {
  uint32_t version = knownVersion();
  if (version <= parts_.entriesVersion) return;
  parts_.entriesVersion = version;
  base::logInfo("catalog: every host knows version " + std::to_string(version));
}

// The catalog's version is that of the hosts which have registered: at a founding one may be still
// to come. And nothing is saved here that this disk does not say it may hold.
uint32_t CatalogReader::knownVersion() const {
  uint32_t version = view_.clusterVersion();
  if (version < group::kUnmarkedVersion) return version;
  for (const auto& [id, address] : parts_.config.founders) {
    auto host = view_.host(id);
    uint32_t its = host ? host->clusterVersion : 0;
    version = std::min(version, std::max(its, group::kUnmarkedVersion - 1));
  }
  bool marked = parts_.id.format >= store::HostId::kFormat;
  return marked ? version : std::min(version, group::kUnmarkedVersion);
}

// Once every host loads answers that are saved as runs, this disk says that such may lie on it; a
// host that went back to an older build would read them wrong, and does not start. Whoever has said
// so says it to the catalog, and once all have, such are saved. Where it cannot be written all
// stays as it is.
kj::Promise<void> CatalogReader::markDisk() {
  bool due = parts_.entriesVersion >= group::kUnmarkedVersion;
  if (!due || parts_.id.format >= store::HostId::kFormat) return kj::READY_NOW;
  store::HostId id = parts_.id;
  id.format = store::HostId::kFormat;
  auto work = [id, dataDir = parts_.config.dataDir]() { return store::updateHostId(dataDir, id); };
  return parts_.files.run(std::move(work)).then([this, id](Result<void> kept) {
    if (!kept) return complain(unmarked_, "host.id: " + kept.fault().text + "; tried again");
    parts_.id = id;
    learnVersion();
  });
}

// A machine that is still loading is no news, and says so by `unavailable`.
void CatalogReader::failed(const group::Outcome& outcome) {
  if (outcome.code == ErrorCode::unavailable) return;
  complain(trouble_, "catalog: it cannot be read here: " + std::string(nameOf(outcome.code)) +
                         ": " + std::string(outcome.body.view()) + "; tried again");
}

void CatalogReader::complain(std::string& last, std::string why) {
  if (last == why) return;
  base::logError(why);
  last = std::move(why);
}

kj::Promise<void> CatalogReader::moved() {
  auto paf = kj::newPromiseAndFulfiller<void>();
  waiting_.push_back(kj::mv(paf.fulfiller));
  return kj::mv(paf.promise);
}

}  // namespace flotilla::runtime

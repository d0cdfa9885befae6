// This host's view of the catalog, kept up with its replica of group 0.
#include "host/runtime/catalog_reader.h"

#include <algorithm>
#include <utility>

#include "host/base/log.h"
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
        return kj::READY_NOW;
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
  parts_.entriesVersion = std::max(parts_.entriesVersion, view_.clusterVersion());
  if (view_.revision() != before) {
    KJ_IF_MAYBE (network, parts_.network) {  // peers may have moved since the founding
      for (const auto& host : view_.hosts()) (*network)->setPeer(host->id, host->address);
    }
    for (auto& each : std::exchange(waiting_, {})) each->fulfill();
  }
  return changes.getMore();
}

// A machine that is still loading is no news, and says so by `unavailable`.
void CatalogReader::failed(const group::Outcome& outcome) {
  if (outcome.code == ErrorCode::unavailable) return;
  std::string why = std::string(nameOf(outcome.code)) + ": " + std::string(outcome.body.view());
  if (trouble_ == why) return;
  base::logError("catalog: it cannot be read here: " + why + "; tried again");
  trouble_ = std::move(why);
}

kj::Promise<void> CatalogReader::moved() {
  auto paf = kj::newPromiseAndFulfiller<void>();
  waiting_.push_back(kj::mv(paf.fulfiller));
  return kj::mv(paf.promise);
}

}  // namespace flotilla::runtime

// Plugins that this host lacks: fetched from one that has them, checked, and tried again.
#include "host/base/log.h"
#include "host/net/refusal.h"
#include "host/runtime/catalog_keeper.h"
#include "host/runtime/host_parts.h"

namespace flotilla::runtime {
namespace {

constexpr uint32_t kPieceBytes = 1 << 20;
constexpr auto kAfterFetch = 10 * kj::SECONDS;  // so long machines may fault for want of a plugin

}  // namespace

kj::Promise<void> CatalogKeeper::fetch(catalog::FetchPlugin wanted) {
  uint64_t from = 0;
  for (uint64_t host : wanted.from) {
    if (parts_.host.hostUp(host)) from = host;
  }
  if (from == 0) {
    kj::throwFatalException(
        net::refusal(ErrorCode::unavailable,
                     "its file is not here, and no host that has it is up to fetch it from"));
  }
  auto bytes = kj::heap<kj::Vector<kj::byte>>();
  auto& into = *bytes;
  return fetchFrom(from, wanted.plugin->sha256, into)
      .then([this, bytes = kj::mv(bytes), sha256 = wanted.plugin->sha256]() mutable {
        return parts_.files.run([this, bytes = kj::mv(bytes), sha256]() -> Result<void> {
          std::string_view view(reinterpret_cast<const char*>(bytes->begin()), bytes->size());
          if (plugin::sha256Of(view) != sha256) {
            return Fault{ErrorCode::corrupt, "what was fetched is not the file of that SHA-256",
                         ""};
          }
          auto added = parts_.plugins->add(view);
          if (!added) return added.fault();
          return {};
        });
      })
      .then([this, from, wanted](Result<void> added) {
        if (!added) kj::throwFatalException(net::refusal(added.fault()));
        base::logInfo("plugin " + wanted.plugin->nameAndVersion() + ": fetched from host " +
                      std::to_string(from));
        fetched_.insert(wanted.plugin->sha256);
        lookAtAllUntil_ = parts_.timer.now() + kAfterFetch;
      });
}

// A replica whose plugin's file was gone or damaged begins anew, once, when the file is back. One
// that its machine has brought down does not: that is for `flotilla group retry`.
void CatalogKeeper::retryFetched() {
  if (fetched_.empty()) return;
  for (const auto& [group, replica] : parts_.replicas.all()) {
    if (replica->broken()) continue;
    catalog::GroupPointer known = view().group(group);
    bool wanted = fetched_.count(replica->record().pluginSha256) != 0 ||
                  (known && fetched_.count(known->pluginSha256) != 0);
    if (!wanted) continue;
    const auto& fault = replica->group().fault();
    if (!fault || fault->code == ErrorCode::faulted) continue;
    if (!retried_.insert(replica->record().key).second) continue;
    base::logInfo("group " + replica->record().name + ": its plugin is here again; begins anew");
    replica->group().retry();
    replica->touch();
  }
}

kj::Promise<void> CatalogKeeper::fetchFrom(uint64_t host, std::string sha256,
                                           kj::Vector<kj::byte>& into) {
  return parts_.host.peer(host)
      .then([sha256, offset = into.size()](schema::Peer::Client peer) {
        auto request = peer.fetchPluginRequest();
        request.setSha256(sha256);
        request.setOffset(offset);
        request.setLimit(kPieceBytes);
        return request.send();
      })
      .then([this, host, sha256, &into](auto response) -> kj::Promise<void> {
        auto piece = response.getBytes();
        if (response.getTotal() > plugin::PluginFiles::kFileBytesMax) {
          kj::throwFatalException(net::refusal(ErrorCode::tooLarge, "the file is over 48 MiB"));
        }
        into.addAll(piece);
        if (into.size() >= response.getTotal()) return kj::READY_NOW;
        if (piece.size() == 0) {
          kj::throwFatalException(net::refusal(ErrorCode::unavailable, "the file came short"));
        }
        return fetchFrom(host, sha256, into);
      });
}

}  // namespace flotilla::runtime

// This host's view of the catalog, kept up with its replica of group 0.
#pragma once

#include <cstdint>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include <kj/async.h>

#include "host/catalog/view.h"
#include "host/group/ports.h"

namespace flotilla::runtime {

struct HostParts;

// Asks the replica here, whatever it has applied: no leader is needed. What a step has brought is
// in the view at once, also where the next one fails.
//
// Owner:  CatalogKeeper.
// Thread: the loop's.
// Errors: an answer that is none is logged, once each time it changes, and leaves the view as it
// is.
class CatalogReader {
public:
  // What has changed since it was taken last.
  struct News {
    bool ofAll = false;  // who is who, and which files there are, concerns every group
    std::set<uint64_t> groups;
  };

  explicit CatalogReader(HostParts& parts) : parts_(parts) {}

  // Until there is no more, or a step fails.
  kj::Promise<void> read();
  News takeNews() { return std::exchange(news_, {}); }

  const catalog::CatalogView& view() const { return view_; }
  // Resolves once the view has moved on.
  kj::Promise<void> moved();

private:
  bool take(const group::Outcome& outcome);
  void learnVersion();
  uint32_t knownVersion() const;
  kj::Promise<void> markDisk();
  void failed(const group::Outcome& outcome);
  static void complain(std::string& last, std::string why);

  HostParts& parts_;
  catalog::CatalogView view_;
  News news_;
  std::string trouble_;   // why the last step came to nothing; once it is logged
  std::string unmarked_;  // why host.id could not be written; once it is logged
  std::vector<kj::Own<kj::PromiseFulfiller<void>>> waiting_;
};

}  // namespace flotilla::runtime

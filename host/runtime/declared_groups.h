// The [[group]] tables, made true once.
#pragma once

#include <set>
#include <string>

#include <kj/async.h>

#include "host/catalog/view.h"
#include "host/runtime/config.h"

namespace flotilla::runtime {

struct HostParts;

// Whichever host leads group 0 creates what its file's [[group]] tables name, and remembers in the
// catalog that it did: a group that was removed since is not created again.
//
// Owner:  CatalogKeeper.
// Thread: the loop's.
// Errors: a table that is refused, and a plugin that is unfit, are logged once.
class DeclaredGroups {
public:
  explicit DeclaredGroups(HostParts& parts) : parts_(parts) {}

  // One step, if there is one to take.
  kj::Promise<void> declare(const catalog::CatalogView& view);

private:
  kj::Promise<void> declareFitting(const DeclaredGroup& group, std::string sha256);
  kj::Promise<void> declareGroup(const DeclaredGroup& group);
  std::string pluginFile(const std::string& plugin) const;
  kj::Promise<void> pushDeclared(std::string plugin, std::string file);

  HostParts& parts_;
  std::set<std::string> declared_;
  std::set<std::string> unfit_;  // files that were refused
};

}  // namespace flotilla::runtime

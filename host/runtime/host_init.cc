// --init: makes a host's directories, host.id last, so that a directory with a host.id is whole.
#include <string>
#include <vector>

#include "host/base/log.h"
#include "host/runtime/host.h"
#include "host/runtime/secrets.h"
#include "host/runtime/volumes.h"
#include "host/store/files.h"
#include "host/store/host_id.h"
#include "host/store/meta_store.h"

namespace flotilla::runtime {
namespace {

// `made` gets every directory that was not there before.
Result<void> makeDirectories(const Config& config, std::vector<std::string>& made) {
  store::MetaOptions meta;
  meta.path = config.dataDir + "/meta";
  meta.create = true;
  made.push_back(meta.path);
  auto opened = store::MetaStore::open(std::move(meta));
  if (!opened) return opened.fault();
  if (auto volumes = Volumes::create(config, made); !volumes) return volumes;
  return Secrets::create(config);
}

}  // namespace

Result<void> Host::init(const Config& config) {
  auto id = store::newHostId(config.dataDir, config.hostId, config.clusterName);
  if (!id) return id.fault();
  auto lock = store::DataLock::take(config.dataDir);
  if (!lock) return lock.fault();
  std::vector<std::string> made;
  auto done = makeDirectories(config, made);
  if (done) return store::keepHostId(config.dataDir, *id);
  // What is wrong can be mended, and --init be given again.
  for (const std::string& path : made) {
    if (auto gone = store::removeTree(path); !gone) {
      base::logWarn("--init: " + gone.fault().text + "; remove it before the next --init");
    }
  }
  return done;
}

}  // namespace flotilla::runtime

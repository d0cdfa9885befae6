// One host of the cluster, whole.
#include "host/runtime/host.h"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <sys/resource.h>
#include <unistd.h>

#include <capnp/serialize.h>

#include "host/base/log.h"
#include "host/net/peer_service.h"
#include "host/net/refusal.h"
#include "host/plugin/interface_fit.h"
#include "host/raft/types.h"
#include "host/runtime/flat_words.h"
#include "host/runtime/host_parts.h"
#include "host/store/files.h"
#include "schemas/catalog.capnp.h"
#include "schemas/client.capnp.h"

namespace flotilla::runtime {
namespace {

constexpr auto kCatalogRetry = 50 * kj::MILLISECONDS;

class NetVisitor final : public Visitor {
public:
  explicit NetVisitor(kj::Own<net::Caller> caller) : caller_(kj::mv(caller)) {}
  const std::string& address() const override { return caller_->address(); }
  const std::string& certificateName() const override { return caller_->certificateName(); }
  size_t unsentBytes() const override { return caller_->unsentBytes(); }
  kj::Own<client::SharedPipe> pipe() override { return caller_->pipe(); }
  void loggedIn(Access::Role role) override {
    if (role == Access::Role::peer) {
      caller_->peerLoggedIn();
    } else {
      caller_->clientLoggedIn();
    }
  }

private:
  kj::Own<net::Caller> caller_;
};

// Half of the files that the process may have open are for its logs, snapshots and peers: without
// one a log cannot go on, and the host stops.
net::ListenerLimits limitsOfConnections() {
  net::ListenerLimits limits;
  rlimit files{};
  if (::getrlimit(RLIMIT_NOFILE, &files) != 0 || files.rlim_cur == RLIM_INFINITY) return limits;
  limits.connectionsMax = std::min<size_t>(limits.connectionsMax, files.rlim_cur / 2);
  limits.strangersMax = std::min<size_t>(limits.strangersMax, limits.connectionsMax / 2);
  return limits;
}

}  // namespace

std::string ownProgram() {
  char path[4096];
  ssize_t size = ::readlink("/proc/self/exe", path, sizeof path - 1);
  std::string self(path, static_cast<std::size_t>(std::max<ssize_t>(size, 0)));
  auto host = std::filesystem::path(self).parent_path() / "flotilla-host";
  return std::filesystem::exists(host) ? host.string() : self;
}

int64_t SystemClock::monotonicUs() const {
  auto since = std::chrono::steady_clock::now().time_since_epoch();
  return std::chrono::duration_cast<std::chrono::microseconds>(since).count();
}

int64_t SystemClock::wallUs() const {
  auto since = std::chrono::system_clock::now().time_since_epoch();
  return std::chrono::duration_cast<std::chrono::microseconds>(since).count();
}

HostParts::HostParts(Host& owner, Config theConfig, kj::AsyncIoContext& theIo)
    : host(owner),
      config(std::move(theConfig)),
      io(theIo),
      timer(theIo.provider->getTimer()),
      startedUs(clock.monotonicUs()),
      inbox(theIo.unixEventPort),
      savePace(config.snapshotBytesPerSecond),
      saves(inbox, "saves", true),
      frees(inbox, "frees", true),
      files(inbox, "files", false),
      pool(config.applyWorkers),
      queries(config.applyWorkers, {"query", nullptr}),
      replicas(config.hostId, inbox, files, {ready, queries}),
      volumes(config, inbox, replicas),
      peers(*this),
      founder(*this),
      keeper(*this),
      router(owner),
      end(nullptr),
      tasks(*this) {
  auto paf = kj::newPromiseAndFulfiller<int>();
  ended = kj::mv(paf.fulfiller);
  end = paf.promise.fork();
}

// What they have left to do is about the other parts. Snapshots had their time at the stop.
HostParts::~HostParts() noexcept(false) {
  saves.abandon();
  files.finish();
  frees.finish();
}

void HostParts::taskFailed(kj::Exception&& exception) {
  base::logError(std::string("host: ") + exception.getDescription().cStr());
}

Host::Host(Config config, kj::AsyncIoContext& io)
    : parts_(kj::heap<HostParts>(*this, std::move(config), io)) {}

Host::~Host() noexcept(false) = default;

const char* Host::version() {
  return "0.1.0";
}

Result<void> Host::start(Services services) {
  HostParts& p = *parts_;
  p.services = kj::mv(services);
  auto id = store::readHostId(p.config.dataDir);
  if (!id) return id.fault();
  p.id = *id;
  std::string who = "data_dir " + p.config.dataDir + ": ";
  if (p.id.host != p.config.hostId) {
    return Fault{ErrorCode::badRequest,
                 who + "belongs to host " + std::to_string(p.id.host) + ", this is host " +
                     std::to_string(p.config.hostId) + "; correct host.id or host.data_dir",
                 ""};
  }
  if (p.id.clusterName != p.config.clusterName) {
    return Fault{ErrorCode::badRequest,
                 who + "belongs to cluster \"" + p.id.clusterName + "\", this is \"" +
                     p.config.clusterName + "\"; correct cluster.name or host.data_dir",
                 ""};
  }
  auto lock = store::DataLock::take(p.config.dataDir);
  if (!lock) return lock.fault();
  p.lock.emplace(std::move(*lock));
  auto boot = store::nextBoot(p.config.dataDir);
  if (!boot) return boot.fault();
  p.bootNumber = *boot;
  if (auto read = p.secrets.read(p.config); !read) return read;

  store::MetaOptions meta;
  meta.path = p.config.dataDir + "/meta";
  auto opened = store::MetaStore::open(std::move(meta));
  if (!opened) return opened.fault();
  p.meta = std::move(*opened);
  if (auto bytes = p.meta->get(std::string(kFoundingKey))) {
    auto founding = decodeFounding(*bytes);
    if (!founding) return founding.fault();
    p.founding = std::move(*founding);
    if (p.id.clusterId.empty()) {
      // A crash came between the two writes of the founding.
      p.id.clusterId = p.founding->clusterId();
      if (auto put = store::updateHostId(p.config.dataDir, p.id); !put) return put;
    }
    if (p.id.clusterId != p.founding->clusterId()) {
      return Fault{ErrorCode::corrupt,
                   who +
                       "host.id and meta/ are of two clusters; one of them was "
                       "copied from elsewhere",
                   ""};
    }
  } else if (!p.id.clusterId.empty()) {
    return Fault{ErrorCode::corrupt,
                 who +
                     "meta/ has lost the founding record; a host that lost its disk "
                     "joins under a new id",
                 ""};
  }
  return openRest();
}

Result<void> Host::openRest() {
  HostParts& p = *parts_;
  std::vector<std::string> trust;
  if (p.config.trusted == "operators") trust.push_back("operators");
  for (const std::string& each : p.config.trustedHashes) trust.push_back(each);
  auto trusted = plugin::TrustedPlugins::parse(trust);
  if (!trusted) return trusted.fault();
  std::string checker = p.config.checker.empty() ? ownProgram() : p.config.checker;
  auto plugins = PluginRoom::open(p.config.dataDir + "/plugins", std::move(*trusted), checker);
  if (!plugins) return plugins.fault();
  p.plugins = std::move(*plugins);
  std::string marksFile = p.config.dataDir + "/crash.marks";
  if (p.bootNumber > 1 && !store::exists(marksFile)) {
    base::logWarn("crash marks " + marksFile +
                  ": the file is missing; replicas whose machines crashed are tried again");
  }
  auto marks = plugin::CrashMarks::open(marksFile, handleSignals_);
  if (!marks) return marks.fault();
  p.marks = std::move(*marks);
  if (auto volumes = p.volumes.open(); !volumes) return volumes;

  p.replicas.onFailed = [this](const Fault& fault) { fail(fault); };
  p.shared.emplace(p.around());
  p.tasks.add(whileAlive(p.inbox.run()));
  p.volumes.start();
  if (auto stored = p.keeper.openStored(); !stored) return stored;
  return openNetwork();
}

Result<void> Host::openNetwork() {
  HostParts& p = *parts_;
  kj::Network& network = p.io.provider->getNetwork();
  kj::Maybe<net::Tls&> tls;
  if (p.config.tls()) {
    auto loaded = net::Tls::load({p.config.tlsCert, p.config.tlsKey, p.config.tlsCa}, p.timer);
    if (!loaded) return loaded.fault();
    p.tls = kj::mv(*loaded);
    tls = *KJ_ASSERT_NONNULL(p.tls);
  }
  auto address = net::parseAddress(p.config.listen);
  if (!address) return address.fault();
  p.dialer = kj::heap<net::NetworkDialer>(network, p.timer, tls);
  net::PeerNetworkConfig links;
  links.host = p.config.hostId;
  links.token = p.secrets.peerToken();
  links.snapshotBytesPerSecond = p.config.snapshotBytesPerSecond;
  links.seed = std::hash<std::string>{}(p.id.birth) + p.bootNumber;
  auto made =
      kj::heap<net::PeerNetwork>(*KJ_ASSERT_NONNULL(p.dialer), p.timer, p.peers, std::move(links));
  net::PeerNetwork& peers = *made;
  p.network = kj::mv(made);
  p.replicas.setNetwork(&peers);
  for (const auto& [host, at] : p.config.founders) peers.setPeer(host, at);

  p.tasks.add(net::Listener::listen(network, p.timer, tls, *address, limitsOfConnections(),
                                    [this](kj::Own<net::Caller> caller) {
                                      return parts_->services.gate(
                                          kj::heap<NetVisitor>(kj::mv(caller)));
                                    })
                  .then([&p](kj::Own<net::Listener> listener) { p.listener = kj::mv(listener); },
                        [this](kj::Exception&& exception) {
                          fail(Fault{ErrorCode::io, exception.getDescription().cStr(), ""});
                        }));
  p.tasks.add(whileAlive(p.replicas.tickLoop(p.timer, p.bootNumber)));
  p.tasks.add(whileAlive(p.founder.found().then([&p]() { return p.keeper.run(); })));
  base::logInfo("host " + std::to_string(p.config.hostId) + ": started, listen=" + p.config.listen +
                " boot=" + std::to_string(p.bootNumber) +
                " replicas=" + std::to_string(p.replicas.all().size()));
  return {};
}

kj::Promise<int> Host::run() {
  return parts_->end.addBranch();
}

// Without one of these the host would seem to live, and hear or do nothing.
kj::Promise<void> Host::whileAlive(kj::Promise<void> loop) {
  return loop.catch_([this](kj::Exception&& exception) {
    fail(Fault{ErrorCode::unknown,
               std::string("a loop of its own broke: ") + exception.getDescription().cStr() +
                   "; this is a bug, report it",
               ""});
  });
}

void Host::fail(const Fault& fault) {
  base::logError("host: " + fault.text + "; the host stops");
  if (parts_->ended->isWaiting()) parts_->ended->fulfill(1);
}

const Config& Host::config() const {
  return parts_->config;
}
uint64_t Host::id() const {
  return parts_->config.hostId;
}
std::string Host::clusterId() const {
  return parts_->id.clusterId;
}
std::string Host::birth() const {
  return parts_->id.birth;
}
uint64_t Host::bootNumber() const {
  return parts_->bootNumber;
}
kj::Timer& Host::timer() {
  return parts_->timer;
}
uint16_t Host::listenPort() const {
  KJ_IF_MAYBE (listener, parts_->listener) {
    return (*listener)->port();
  }
  return 0;
}

bool Host::ready() const {
  return notReadyBecause().empty();
}

std::string Host::notReadyBecause() const {
  if (parts_->stopping) return "stopping";
  if (!parts_->founding) return "waits for " + parts_->founder.waitsFor();
  if (!parts_->keeper.settled()) return "the catalog is being read";
  if (!catalog().host(id())) return "the catalog does not know this host yet";
  for (const auto& [group, replica] : parts_->replicas.all()) {
    if (replica->broken()) continue;
    if (!replica->hadLeader()) return "group " + replica->record().name + " has no leader yet";
  }
  return "";
}

Result<Access> Host::access(kj::StringPtr token) const {
  return parts_->secrets.access({token.begin(), token.size()});
}

schema::Peer::Client Host::peerService(Visitor& visitor) {
  return net::makePeerService(parts_->peers, parts_->timer, visitor.pipe());
}

const catalog::CatalogView& Host::catalog() const {
  return parts_->keeper.view();
}

kj::Promise<void> Host::catalogChanged() {
  return parts_->keeper.changed();
}

std::string Host::addressOf(uint64_t host) const {
  if (auto record = parts_->keeper.view().host(host)) return record->address;
  auto founder = parts_->config.founders.find(host);
  return founder == parts_->config.founders.end() ? "" : founder->second;
}

std::vector<uint64_t> Host::hosts() const {
  std::vector<uint64_t> all;
  for (const auto& [host, address] : parts_->config.founders) all.push_back(host);
  for (const auto& host : parts_->keeper.view().hosts()) all.push_back(host->id);
  std::sort(all.begin(), all.end());
  all.erase(std::unique(all.begin(), all.end()), all.end());
  return all;
}

bool Host::hostUp(uint64_t host) const {
  if (host == id()) return true;
  KJ_IF_MAYBE (network, parts_->network) {
    return (*network)->isUp(host);
  }
  return false;
}

Router& Host::router() {
  return parts_->router;
}

kj::Promise<schema::Peer::Client> Host::peer(uint64_t host) {
  KJ_IF_MAYBE (network, parts_->network) {
    if (host != id()) return (*network)->forwards(host);
  }
  return net::refusal(ErrorCode::unavailable, "host " + std::to_string(host) + ": not a peer");
}

kj::Promise<group::Outcome> Host::catalogCall(uint16_t method, Bytes params, uint64_t timeoutMs) {
  int64_t deadlineUs = parts_->clock.monotonicUs() + static_cast<int64_t>(timeoutMs) * 1000;
  return catalogTry(method, std::move(params), deadlineUs);
}

// Every command of the catalog may be given twice, so what may have happened is simply asked again.
kj::Promise<group::Outcome> Host::catalogTry(uint16_t method, Bytes params, int64_t deadlineUs) {
  group::Call call;
  call.interfaceId = capnp::typeId<schema::Catalog>();
  call.method = method;
  call.params = params;
  std::vector<group::Call> calls;
  calls.push_back(std::move(call));
  return parts_->router.submit({kCatalogGroup, kCatalogIncarnation}, std::move(calls), true)
      .then([this, method, params = std::move(params),
             deadlineUs](Outcomes outcomes) mutable -> kj::Promise<group::Outcome> {
        group::Outcome& outcome = outcomes.front();
        if (outcome.ok() || outcome.code == ErrorCode::app) return std::move(outcome);
        bool passing =
            outcome.code == ErrorCode::notLeader || outcome.code == ErrorCode::unavailable ||
            outcome.code == ErrorCode::unknown || outcome.code == ErrorCode::timeout ||
            outcome.code == ErrorCode::overloaded || outcome.code == ErrorCode::noSuchGroup;
        if (!passing) return std::move(outcome);
        if (parts_->clock.monotonicUs() >= deadlineUs || parts_->stopping) {
          outcome.code = ErrorCode::timeout;
          outcome.body = Bytes::copyOf(
              "catalog: no leader answered in time (" + std::string(outcome.body.view()) +
              "); it may still happen, the same command may be given again");
          return std::move(outcome);
        }
        return parts_->timer.afterDelay(kCatalogRetry)
            .then([this, method, params = std::move(params), deadlineUs]() mutable {
              return catalogTry(method, std::move(params), deadlineUs);
            });
      });
}

bool Host::hasReplica(uint64_t group) const {
  return parts_->replicas.find(group) != nullptr;
}

Result<group::Machine::MethodKind> Host::methodKind(GroupRef group, uint64_t interfaceId,
                                                    uint16_t method) const {
  const Replica* replica = parts_->replicas.find(group.id);
  if (replica == nullptr || replica->broken() ||
      replica->record().incarnation != group.incarnation) {
    return Fault{ErrorCode::unavailable,
                 "group id:" + std::to_string(group.id) + ": no replica here", ""};
  }
  if (replica->machineState() == MachineState::loading) {
    return Fault{ErrorCode::unavailable,
                 "group " + replica->record().name + ": its machine is being loaded", ""};
  }
  if (auto kind = replica->kindOf(interfaceId, method)) return *kind;
  return Fault{ErrorCode::noSuchMethod,
               "group " + replica->record().name + ": its plugin has no method " +
                   std::to_string(method) + " of that interface; `flotilla call GROUP` lists them",
               ""};
}

kj::Promise<Result<ProbedPlugin>> Host::probePlugin(kj::Array<kj::byte> file) {
  auto work = [this, file = kj::mv(file)]() -> Result<ProbedPlugin> {
    auto added = parts_->plugins->add({reinterpret_cast<const char*>(file.begin()), file.size()});
    if (!added) return added.fault();
    return ProbedPlugin{added->name, added->version, added->sha256, added->bytes,
                        kj::mv(added->description)};
  };
  return parts_->files.run(kj::mv(work));
}

kj::Promise<group::Outcome> Host::addPlugin(const ProbedPlugin& plugin, uint64_t timeoutMs) {
  capnp::FlatArrayMessageReader message(plugin.description);
  auto described =
      flatCopy<schema::PluginDescription>(message.getRoot<schema::PluginDescription>());
  auto params = flatWords<schema::Catalog::AddPluginParams>(
      [&](schema::Catalog::AddPluginParams::Builder to) {
        auto it = to.initPlugin();
        it.setName(plugin.name);
        it.setVersion(plugin.version);
        it.setSha256(plugin.sha256);
        it.setBytes(plugin.bytes);
        it.setDescription({reinterpret_cast<const kj::byte*>(described.data()), described.size()});
        it.initHolders(1).set(0, id());
      });
  return catalogCall(1, std::move(params), timeoutMs);
}

Result<void> Host::interfacesFit(schema::PluginDescription::Reader before,
                                 schema::PluginDescription::Reader after) {
  return plugin::interfacesFit(before, after);
}

bool Host::hasPlugin(const std::string& sha256) const {
  return parts_->plugins->has(sha256);
}

kj::Promise<Result<void>> Host::trySettings(
    std::string sha256, std::vector<std::pair<std::string, std::string>> settings) {
  auto work = [this, sha256 = std::move(sha256), settings = std::move(settings)]() {
    return parts_->plugins->trySettings(sha256, settings);
  };
  return parts_->files.run(std::move(work));
}

Result<kj::Array<capnp::word>> Host::describePlugin(const std::string& sha256) const {
  auto found = parts_->plugins->describe(sha256);
  if (!found) return found.fault();
  return kj::mv(found->description);
}

}  // namespace flotilla::runtime

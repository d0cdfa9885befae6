// A host made of nothing but its network, and wires between several of them in one process.
#include "tests/net/test_host.h"

#include <utility>

#include "host/group/snapshot_collector.h"
#include "host/net/gathering_stream.h"
#include "host/net/refusal.h"
#include "schemas/client.capnp.h"
#include "tests/support/memory_file.h"

#pragma GCC diagnostic ignored "-Wnon-virtual-dtor"

namespace flotilla::test {
namespace {

using net::gathering;
using net::refusal;

// Lets in whoever knows the token; a mute host answers hello and nothing after it.
class TestGate final : public schema::Gate::Server {
public:
  TestGate(TestHost& host, kj::Own<client::SharedPipe> pipe) : host_(host), pipe_(kj::mv(pipe)) {}

protected:
  kj::Promise<void> login(LoginContext context) override {
    if (host_.token != context.getParams().getToken().cStr()) {
      return refusal(ErrorCode::denied, "login: the token is not known here");
    }
    auto session = context.getResults().initSession();
    session.setRole(schema::Role::PEER);
    session.setPeer(net::makePeerService(
        host_, host_.timer(), host_.takesAsides ? kj::mv(pipe_) : kj::Own<client::SharedPipe>()));
    return kj::READY_NOW;
  }

private:
  TestHost& host_;
  kj::Own<client::SharedPipe> pipe_;
};

class MemoryFile final : public net::SnapshotFile {
public:
  MemoryFile(Received& to, bool hold) : to_(to), hold_(hold) {}
  ~MemoryFile() noexcept(false) override { to_.ended = true; }

  kj::Promise<void> write(Bytes piece) override {
    to_.bytes += piece.view();
    if (hold_) return kj::NEVER_DONE;
    return kj::READY_NOW;
  }
  kj::Promise<void> finish() override {
    to_.finished = true;
    return kj::READY_NOW;
  }

private:
  Received& to_;
  bool hold_;
};

class NamedGroup final : public schema::Group::Server {
public:
  explicit NamedGroup(uint64_t id) : id_(id) {}

protected:
  kj::Promise<void> openSession(OpenSessionContext context) override {
    context.getResults().setSession(id_);
    return kj::READY_NOW;
  }

private:
  uint64_t id_;
};

}  // namespace

void Loop::pass(int64_t ms) {
  for (int64_t passed = 0; passed < ms; passed += 10) {
    timer.advanceTo(timer.now() + 10 * kj::MILLISECONDS);
    settle();
  }
}

kj::Promise<kj::Own<kj::AsyncIoStream>> Wires::dial(const net::Address& address) {
  ++dials;
  auto found = standing_.find(address.text());
  if (found == standing_.end()) return net::gone("connection refused");
  kj::TwoWayPipe pipe = kj::newTwoWayPipe();
  found->second(gathering(kj::mv(pipe.ends[1])));
  return gathering(kj::mv(pipe.ends[0]));
}

struct TestHost::Incoming {
  Incoming(kj::Own<kj::AsyncIoStream> itsStream, TestHost& host)
      : stream(kj::mv(itsStream)),
        pipe(*stream),
        network(pipe, capnp::rpc::twoparty::Side::SERVER, net::messageLimits()),
        rpc(capnp::makeRpcServer(
            network, capnp::Capability::Client(kj::heap<TestGate>(host, kj::addRef(*shared))))) {
    shared->pipe = pipe;
  }
  ~Incoming() noexcept(false) { shared->pipe = nullptr; }
  KJ_DISALLOW_COPY(Incoming);

  kj::Own<client::SharedPipe> shared = kj::refcounted<client::SharedPipe>();
  kj::Own<kj::AsyncIoStream> stream;
  client::MessagePipe pipe;
  capnp::TwoPartyVatNetwork network;
  capnp::RpcSystem<capnp::rpc::twoparty::VatId> rpc;
};

TestHost::TestHost(Loop& loop, Wires& wires, uint64_t id, const std::string& cluster)
    : loop_(loop), wires_(wires) {
  self.clusterId = "id of " + cluster;
  self.cluster = cluster;
  self.host = id;
  self.birth = "birth of " + std::to_string(id);
  self.founded = true;
  self.version = "0.1.0";
  self.bootNumber = 1;
  config.host = id;
  config.token = token;
  listen();
  connect();
}

TestHost::~TestHost() noexcept(false) {
  wires_.fall(address());
  network.reset();
  incoming_.clear();
}

std::string TestHost::address() const {
  return "127.0.0.1:" + std::to_string(7399 + self.host);
}

void TestHost::listen() {
  wires_.stand(address(), [this](kj::Own<kj::AsyncIoStream> stream) { accept(kj::mv(stream)); });
}

void TestHost::connect() {
  network = std::make_unique<net::PeerNetwork>(wires_, loop_.timer, *this, config);
}

void TestHost::accept(kj::Own<kj::AsyncIoStream> stream) {
  incoming_.push_back(std::make_unique<Incoming>(kj::mv(stream), *this));
}

void TestHost::cutAll() {
  incoming_.clear();
}

Result<void> TestHost::admit(const net::Handshake& theirs, uint64_t) {
  if (theirs.clusterId != self.clusterId) {
    return Fault{ErrorCode::denied,
                 "host " + std::to_string(theirs.host) + " is of cluster " + theirs.cluster +
                     ", this is cluster " + self.cluster,
                 ""};
  }
  auto known = births.find(theirs.host);
  if (known != births.end() && known->second != theirs.birth) {
    return Fault{ErrorCode::denied,
                 "host " + std::to_string(theirs.host) + " has another birth; replace it first",
                 ""};
  }
  return {};
}

void TestHost::up(uint64_t host, const net::Handshake&) {
  events.push_back("up h" + std::to_string(host));
  if (onUp) onUp(host);
}

void TestHost::down(uint64_t host) {
  events.push_back("down h" + std::to_string(host));
}

void TestHost::heardBeat(uint64_t host, group::Beat beat) {
  beats.emplace_back(host, beat);
}

void TestHost::received(uint64_t, std::vector<group::PeerMessage> arrived) {
  frameSizes.push_back(arrived.size());
  for (group::PeerMessage& message : arrived) messages.push_back(std::move(message));
}

struct OneDonor final : group::ChunkDonors {
  explicit OneDonor(const std::string& its) : file(its) {}
  bool has(const base::ContentName& name) override {
    group::ChunkHead head;
    std::string stored;
    return take(name, head, stored);
  }
  bool take(const base::ContentName& name, group::ChunkHead& head, std::string& stored) override {
    auto chunks = group::listChunks(readerOf(file));
    for (const group::ChunkAt& each : *chunks) {
      if (each.head.name != name) continue;
      head = each.head;
      stored = file.substr(each.offset, each.head.stored);
      return true;
    }
    return false;
  }
  const std::string& file;
};

// The shipped collector over strings.
class MemoryArrival final : public net::SnapshotArrival {
public:
  MemoryArrival(TestHost& host, group::SnapshotCollector::Wanted wanted)
      : host_(host),
        part_(host.part),
        donor_(host.donor),
        collector_(part_, donor_, wanted),
        at_(host.offers.size()) {
    host_.offers.emplace_back();
    auto begun = collector_.begin(readerOf(host_.part));
    KJ_ASSERT(begun.ok());
  }
  kj::Promise<std::string> ask(std::string heads) override {
    auto wanted = collector_.ask(heads);
    if (!wanted) return net::refusal(wanted.fault());
    return *wanted;
  }
  kj::Promise<void> give(Bytes stored) override {
    if (host_.holdSnapshots) return kj::NEVER_DONE;
    std::string bytes(stored.view());
    if (host_.onGive) host_.onGive(bytes);
    auto given = collector_.give(bytes);
    const auto& counts = collector_.counts();
    host_.offers[at_] = "kept " + std::to_string(counts.kept) + " copied " +
                        std::to_string(counts.copied) + " received " +
                        std::to_string(counts.received);
    if (!given) return net::refusal(given.fault());
    return kj::READY_NOW;
  }
  kj::Promise<void> done() override {
    auto done = collector_.done();
    if (!done) return net::refusal(done.fault());
    host_.whole = std::exchange(host_.part, {});
    return kj::READY_NOW;
  }

private:
  TestHost& host_;
  MemoryPart part_;
  OneDonor donor_;
  group::SnapshotCollector collector_;
  size_t at_;
};

Result<kj::Own<net::SnapshotArrival>> TestHost::snapshotComes(uint64_t,
                                                              const group::PeerMessage& head) {
  if (!refuseSnapshots.empty()) return Fault{ErrorCode::diskFull, refuseSnapshots, ""};
  kj::Own<net::SnapshotArrival> arrival = kj::heap<MemoryArrival>(
      *this, group::SnapshotCollector::Wanted{head.group, head.message.after});
  return kj::mv(arrival);
}

Result<kj::Own<net::SnapshotFile>> TestHost::snapshotOffered(uint64_t, const group::PeerMessage&,
                                                             uint64_t) {
  if (!refuseSnapshots.empty()) return Fault{ErrorCode::diskFull, refuseSnapshots, ""};
  snapshots.push_back(std::make_unique<Received>());
  kj::Own<net::SnapshotFile> file = kj::heap<MemoryFile>(*snapshots.back(), holdSnapshots);
  return kj::mv(file);
}

kj::Promise<schema::Group::Client> TestHost::group(uint64_t id, uint64_t) {
  if (id == 404) return refusal(ErrorCode::noSuchGroup, "group 404: not on this host");
  return schema::Group::Client(kj::heap<NamedGroup>(id));
}

kj::Promise<void> TestHost::fetchPlugin(FetchPluginContext context) {
  context.getResults().setTotal(context.getParams().getOffset());
  return kj::READY_NOW;
}

kj::Promise<void> TestHost::status(StatusContext context) {
  context.getResults().initHost().setId(self.host);
  return kj::READY_NOW;
}

kj::Promise<void> TestHost::upgrade(UpgradeContext context) {
  context.getResults().setIndex(context.getParams().getGroup() + 1);
  return kj::READY_NOW;
}

kj::Promise<void> TestHost::control(ControlContext context) {
  context.getResults().setValue(context.getParams().getArgument() + 1);
  return kj::READY_NOW;
}

group::PeerMessage heartbeat(uint64_t group, uint64_t index) {
  group::PeerMessage message;
  message.group = group;
  message.incarnation = 1;
  message.message.kind = raft::MessageKind::heartbeat;
  message.message.from = 1;
  message.message.to = 2;
  message.message.term = 3;
  message.message.commit = index;
  return message;
}

group::PeerMessage append(uint64_t group, uint64_t after, std::vector<std::string> payloads) {
  group::PeerMessage message = heartbeat(group, after);
  message.message.kind = raft::MessageKind::append;
  message.message.after = {after, after == 0 ? 0U : 3U};
  if (!payloads.empty()) message.message.runs = {{after + payloads.size(), 3}};
  for (const std::string& payload : payloads) {
    message.entries.push_back({++after, 3, Bytes::copyOf(payload)});
  }
  return message;
}

group::PeerMessage snapshotHead(uint64_t group) {
  group::PeerMessage message = heartbeat(group, 0);
  message.message.kind = raft::MessageKind::snapshot;
  message.message.after = {100, 2};
  message.message.configurations = {{90, {{1, 2, 3}, {}, {}, {}, false}}};
  return message;
}

std::string troubleOf(const TestHost& host, uint64_t peer) {
  for (const net::PeerStatus& status : host.network->status()) {
    if (status.host == peer) return status.trouble;
  }
  return "no such peer";
}

net::PeerStatus statusOf(const TestHost& host) {
  return host.network->status().at(0);
}

}  // namespace flotilla::test

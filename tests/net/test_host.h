// A host made of nothing but its network, and wires between several of them in one process.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include <capnp/rpc-twoparty.h>
#include <kj/async-io.h>
#include <kj/timer.h>

#include "host/net/connection.h"
#include "host/net/peer_network.h"
#include "host/net/peer_service.h"

namespace flotilla::test {

// Time that moves when told to, and the loop.
struct Loop {
  kj::TimerImpl timer{kj::origin<kj::TimePoint>()};  // outlives what the loop drops at its end
  kj::EventLoop loop;
  kj::WaitScope scope{loop};

  void settle() { scope.poll(); }
  // In small steps, so that what one timer sets off can set another.
  void pass(int64_t ms);
};

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wnon-virtual-dtor"

// Connects by address to whatever stands there.
class Wires final : public net::Dialer {
public:
  using Accept = std::function<void(kj::Own<kj::AsyncIoStream>)>;

  kj::Promise<kj::Own<kj::AsyncIoStream>> dial(const net::Address& address) override;
  void stand(const std::string& address, Accept accept) { standing_[address] = accept; }
  void fall(const std::string& address) { standing_.erase(address); }
  int dials = 0;

private:
  std::map<std::string, Accept> standing_;
};

// A snapshot file in memory, either way.
struct Received {
  std::string bytes;
  bool finished = false;
  bool ended = false;  // its SnapshotFile is gone
};

class TestHost final : public net::PeerEvents {
public:
  TestHost(Loop& loop, Wires& wires, uint64_t id, const std::string& cluster = "demo");
  ~TestHost() noexcept(false);

  net::Handshake mine() override { return self; }
  Result<void> admit(const net::Handshake& theirs, uint64_t dialled) override;
  void up(uint64_t host, const net::Handshake& theirs) override;
  void down(uint64_t host) override;
  void heardBeat(uint64_t host, group::Beat beat) override;
  void received(uint64_t host, std::vector<group::PeerMessage> messages) override;
  Result<kj::Own<net::SnapshotFile>> snapshotOffered(uint64_t host, const group::PeerMessage& head,
                                                     uint64_t bytes) override;
  Result<kj::Own<net::SnapshotArrival>> snapshotComes(uint64_t host,
                                                      const group::PeerMessage& head) override;
  kj::Promise<schema::Group::Client> group(uint64_t id, uint64_t incarnation) override;
  kj::Promise<void> fetchPlugin(FetchPluginContext context) override;
  kj::Promise<void> status(StatusContext context) override;
  kj::Promise<void> control(ControlContext context) override;
  kj::Promise<void> upgrade(UpgradeContext context) override;

  void listen();  // stands at its address
  void cutAll();  // every connection that others made to it breaks
  std::string address() const;
  kj::Timer& timer() { return loop_.timer; }

  net::Handshake self;
  std::string token = "peers' secret";
  bool takesAsides = true;                 // false: as hosts before them
  std::map<uint64_t, std::string> births;  // known ones; others are refused
  std::vector<std::string> events;         // "up h2", "down h2"
  std::vector<group::PeerMessage> messages;
  std::vector<size_t> frameSizes;
  std::vector<std::pair<uint64_t, group::Beat>> beats;  // by whom
  std::vector<std::unique_ptr<Received>> snapshots;
  std::string refuseSnapshots;      // why; empty: they are taken
  bool holdSnapshots = false;       // their writes never end
  std::string part;                 // what has come of a file chunk by chunk, over all attempts
  std::string donor;                // a file whose chunks are here
  std::string whole;                // one that came whole
  std::vector<std::string> offers;  // how each attempt went, as far as it has
  std::function<void(std::string&)> onGive;  // may change what comes
  std::function<void(uint64_t)> onUp;

  net::PeerNetworkConfig config;
  std::unique_ptr<net::PeerNetwork> network;
  void connect();  // makes `network` from `config`

private:
  struct Incoming;
  void accept(kj::Own<kj::AsyncIoStream> stream);

  Loop& loop_;
  Wires& wires_;
  std::vector<std::unique_ptr<Incoming>> incoming_;
};

#pragma GCC diagnostic pop

// Two hosts that can meet.
struct Pair {
  Loop loop;
  Wires wires;
  TestHost one{loop, wires, 1};
  TestHost two{loop, wires, 2};

  void meet() {
    one.network->setPeer(2, two.address());
    two.network->setPeer(1, one.address());
    loop.pass(50);
  }
};

std::string troubleOf(const TestHost& host, uint64_t peer);
net::PeerStatus statusOf(const TestHost& host);  // of its only peer

group::PeerMessage heartbeat(uint64_t group, uint64_t index);
group::PeerMessage append(uint64_t group, uint64_t after, std::vector<std::string> payloads);
group::PeerMessage snapshotHead(uint64_t group);

}  // namespace flotilla::test

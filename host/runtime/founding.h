// The first hours of a cluster: who founds it, agreed by all before any of them begins.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include <kj/async.h>
#include <kj/timer.h>

#include "flotilla/result.h"
#include "host/net/peer_events.h"
#include "host/runtime/records.h"

namespace flotilla::runtime {

struct HostParts;

// Asks every founder who it is until all have answered with the same list of founders; then writes,
// synced, whose births founded the cluster (its id is their hash), and only then is there a group
// 0 here. A founder whose disk was lost comes with another birth: the others know the old one and
// answer with a cluster id that its own list does not give, so it can never found or vote.
//
// Owner:  HostParts.
// Thread: the loop's.
// Errors: what stands in the way is logged, by name, once each time it changes; waiting goes on.
class Founder {
public:
  explicit Founder(HostParts& parts) : parts_(parts) {}

  // Resolves when this host is founded: at once on every start but the first.
  kj::Promise<void> found();
  // Why not yet: "waits for host 2 (127.0.0.1:7401): connection refused".
  const std::string& waitsFor() const { return waitsFor_; }

private:
  kj::Promise<void> round();
  void heard(uint64_t host, const net::Handshake& theirs);
  void waitFor(std::string why);
  FoundingRecord record() const;
  Result<void> agree() const;
  kj::Promise<void> write(FoundingRecord record);

  HostParts& parts_;
  std::map<uint64_t, net::Handshake> heard_;
  std::map<uint64_t, std::string> unheard_;
  std::string waitsFor_;
};

}  // namespace flotilla::runtime

// What the hosts say of their replicas, side by side.
#pragma once

#include <map>
#include <memory>
#include <vector>

#include <capnp/message.h>
#include <kj/async.h>

#include "host/catalog/view.h"
#include "host/runtime/host.h"
#include "schemas/admin.capnp.h"
#include "schemas/peer.capnp.h"

namespace flotilla::api {

// One host's word; `reachable` is false where it gave none within a second.
//
// Owner:  whoever gathered; the readers die with it.
// Thread: the loop's.
// Errors: none.
class HostWord {
public:
  bool reachable() const { return reachable_; }
  // Empty where it was asked of groups.
  schema::HostStatus::Reader host() const { return host_; }
  // Nothing where it has no replica of the group.
  kj::Maybe<schema::ReplicaStatus::Reader> replica(uint64_t group) const;

  static std::shared_ptr<const HostWord> unreachable();
  static std::shared_ptr<const HostWord> of(capnp::Response<schema::Peer::StatusResults> response);
  static std::shared_ptr<const HostWord> ofOurselves(runtime::Host& host,
                                                     const std::vector<uint64_t>& groups);

private:
  void take(schema::Peer::StatusResults::Reader results);

  bool reachable_ = false;
  kj::Maybe<capnp::Response<schema::Peer::StatusResults>> response_;
  kj::Maybe<kj::Own<capnp::MallocMessageBuilder>> own_;
  schema::HostStatus::Reader host_;
  std::map<uint64_t, schema::ReplicaStatus::Reader> replicas_;
};

using HostWords = std::map<uint64_t, std::shared_ptr<const HostWord>>;  // by host id

// Asks these hosts of these groups' replicas, all at once; a host with none of them, of itself.
// Never fails.
kj::Promise<HostWords> gather(runtime::Host& host,
                              std::map<uint64_t, std::vector<uint64_t>> groups);
// Asks every host that has a replica of one of these groups.
kj::Promise<HostWords> gather(runtime::Host& host,
                              const std::vector<catalog::GroupPointer>& groups);

// Gathers a group's words in rounds, at most 20 a second, so that a thousand `group show` a second
// cost the hosts a fiftieth of that. Who asks gets a round that began after they asked: an answer
// is never older than its question. One who asks alone waits for nothing.
//
// Owner:  Services; `host` outlives it.
// Thread: the loop's.
// Errors: none.
// Time:   what a gather takes, and at most kBetweenRounds (50 ms) more.
class StatusRounds {
public:
  explicit StatusRounds(runtime::Host& host) : host_(host) {}
  KJ_DISALLOW_COPY(StatusRounds);

  kj::Promise<HostWords> of(const catalog::GroupPointer& group);

private:
  struct Round {
    kj::ForkedPromise<HostWords> words;
    kj::TimePoint begins;
  };

  kj::Promise<HostWords> gatherAt(kj::TimePoint begins, const catalog::GroupPointer& group);

  runtime::Host& host_;
  std::map<uint64_t, Round> rounds_;  // by group id: the newest, begun or waited for
};

// Who leads a group, by the words that were gathered; host 0: nobody is known to.
struct Leadership {
  uint64_t host = 0;
  uint64_t term = 0;
};
Leadership leaderOf(const catalog::GroupRecord& group, const HostWords& words);

// Ready, led, and every replica reachable, ready and without a fault; else why not.
std::string troubleOf(const catalog::GroupRecord& group, const HostWords& words);

void write(const catalog::PluginRecord& plugin, uint64_t groups, schema::PluginStatus::Builder to);
void write(const catalog::GroupRecord& group, const catalog::CatalogView& view,
           const HostWords& words, schema::GroupStatus::Builder to);
// A host that gave no word is `down`, and only what the catalog knows of it is filled in.
void write(const catalog::HostRecord& host, const HostWords& words, schema::HostStatus::Builder to);

}  // namespace flotilla::api

// What this host remembers in meta/: the founding, and each of its replicas.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "flotilla/result.h"
#include "host/base/prefetch.h"
#include "host/catalog/options.h"
#include "host/group/group.h"
#include "host/group/ports.h"

namespace flotilla::runtime {

// Who founded the cluster: schemas/meta.capnp Founding.
struct FoundingRecord {
  struct Founder {
    uint64_t id = 0;
    std::string address;
    std::string birth;
  };
  std::string cluster;
  std::vector<Founder> hosts;  // by id

  // The cluster's id: a hash over names, ids and births. Addresses may change, so they do not
  // count.
  std::string clusterId() const;
  const Founder* find(uint64_t id) const;
};

// One replica: schemas/meta.capnp StoredReplica.
struct StoredReplica {
  struct Member {
    uint64_t replica = 0;
    uint64_t host = 0;
    std::string address;
  };
  // What a turn looks at, and then what few do.
  group::ReplicaKey key;
  uint64_t incarnation = 0;
  std::vector<Member> members;
  uint64_t preferredLeader = 0;
  uint64_t optionsVersion = 0;  // catalog::GroupRecord's, of `options`
  group::Soundness soundness = group::Soundness::sound;
  bool tombstone = false;

  std::string name;
  std::string pluginSha256;  // empty: the built-in catalog
  std::string pluginName;
  std::string pluginVersion;
  std::vector<catalog::OptionText> options;
  std::vector<catalog::OptionText> config;
  std::vector<uint64_t> initialVoters;
  std::vector<uint64_t> initialLearners;
  uint64_t unsoundAt = 0;
  std::string unsoundBecause;

  // What an operator types to have this replica made anew of a peer's snapshot.
  std::string rebuildCommand() const;
  // What its disk has done to it, and what an operator does about that.
  Fault advised(Fault fault) const;
  uint64_t hostOf(uint64_t replica) const;  // 0: a stranger
  uint64_t replicaOn(uint64_t host) const;  // 0: none there
  void prefetch() const { base::prefetchSpan(this, &name); }
};

std::string encode(const FoundingRecord& record);
Result<FoundingRecord> decodeFounding(std::string_view bytes);
std::string encode(const StoredReplica& record);
Result<StoredReplica> decodeReplica(std::string_view bytes);

// Keys in meta/.
inline constexpr std::string_view kFoundingKey = "founding";
inline constexpr std::string_view kReplicaPrefix = "replica/";
inline constexpr std::string_view kFloorKey = "floor";  // catalog::LocalState::floor, as digits
std::string replicaKey(group::ReplicaKey key);

}  // namespace flotilla::runtime

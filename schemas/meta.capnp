# What a host remembers of itself and of its replicas, in data_dir/meta: enough to start and serve without the catalog.
@0xd3c7a1be5508f264;

using Cxx = import "/capnp/c++.capnp";
$Cxx.namespace("flotilla::schema");
using Types = import "types.capnp";

struct Founding {
  # Who founded the cluster. Written, synced, before group 0 exists here; its hash is the cluster's id.
  cluster @0 :Text;
  hosts @1 :List(Founder);

  struct Founder {
    id @0 :UInt64;
    address @1 :Text;  # at the founding; later only a place to begin looking
    birth @2 :Text;
  }
}

struct StoredReplica {
  # One replica of this host, from before it answers anything until the catalog has forgotten its group.
  group @0 :UInt64;
  incarnation @1 :UInt64;
  replica @2 :UInt64;
  name @3 :Text;
  state @4 :State;
  pluginSha256 @5 :Text;   # empty: built in (the catalog)
  pluginName @6 :Text;
  pluginVersion @7 :Text;
  options @8 :List(Types.KeyValue);
  config @9 :List(Types.KeyValue);
  members @10 :List(Member);  # of the group's first configuration, and later ones as they are learned
  initialVoters @11 :List(UInt64);    # replica ids; empty for one that joins a running group
  initialLearners @12 :List(UInt64);
  preferredLeader @13 :UInt64;        # replica id
  soundness @14 :Soundness;
  unsoundAt @15 :UInt64;   # the index at which it differed from a majority; 0: it is rebuilt for another reason
  unsoundBecause @16 :Text;
  optionsVersion @17 :UInt64;  # of `options`: CatalogGroup.optionsVersion

  enum State {
    present @0;
    tombstone @1;  # removed; its files are gone or are being wiped
  }
  enum Soundness {
    # Whether the machine that its own snapshots and log make can be believed.
    sound @0;
    quarantined @1;  # it differed from a majority; it serves nobody until it is rebuilt
    rebuilding @2;   # a peer's snapshot is awaited; its own are not used
  }
  struct Member {
    replica @0 :UInt64;
    host @1 :UInt64;
    address @2 :Text;
  }
}

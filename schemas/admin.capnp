# What an operator asks of a host. `flotilla` speaks this, through sdk/client.
@0xee80b283f076c45d;

using Cxx = import "/capnp/c++.capnp";
$Cxx.namespace("flotilla::schema");
using Types = import "types.capnp";
using Client = import "client.capnp";

interface Admin {
  # Every command is atomic, idempotent, and answered when it has been seen to be done, or with
  # `timeout`: what was begun then goes on, and the same command may be given again.

  listHosts @0 () -> (hosts :List(HostStatus));
  showHost @1 (id :UInt64) -> (host :HostStatus);

  pushPlugin @2 (file :Data) -> (plugin :PluginStatus, existed :Bool);
  # The file's bytes, at most 48 MiB. Probed in a child process first. The same bytes again succeed (`existed`); other
  # bytes under a known name and version are `alreadyExists`.

  listPlugins @3 () -> (plugins :List(PluginStatus));
  showPlugin @4 (name :Text) -> (plugin :PluginStatus, description :Client.PluginDescription);
  # NAME is the newest version, or NAME@VERSION.

  createGroup @5 (spec :Types.GroupSpec, timeoutMs :UInt32) -> (group :GroupStatus, existed :Bool);
  removeGroup @6 (name :Text, timeoutMs :UInt32) -> (existed :Bool);
  listGroups @7 (on :UInt64, plugin :Text, unhealthyOnly :Bool, after :Text, limit :UInt32) -> (groups :List(GroupStatus), more :Bool);
  countGroups @8 () -> (groups :UInt64);
  showGroup @9 (name :Text) -> (group :GroupStatus);
  # Every replica's own figures; a host that did not answer within a second is marked so. NAME may be `id:7`.

  transferLeader @10 (name :Text, to :UInt64, timeoutMs :UInt32) -> (leader :UInt64);
  snapshotGroup @11 (name :Text, timeoutMs :UInt32) -> (index :UInt64);
  # Each reachable replica saves a snapshot; the answer is the leader's index.

  clusterStatus @12 () -> (status :ClusterStatus);

  retryGroup @13 (name :Text) -> (replicas :UInt32, unanswered :List(UInt64));
  # Faulted replicas try again the command that stopped them; answers how many there were, and which hosts did not answer.

  rebuildGroup @14 (name :Text, on :UInt64, timeoutMs :UInt32) -> ();
  # That host's replica forgets its machine and is built anew from another one's snapshot; answered once it serves again.

  upgradeGroup @15 (name :Text, plugin :Text, timeoutMs :UInt32) -> (group :GroupStatus, existed :Bool);
  # The group runs another version of its plugin (NAME or NAME@VERSION) from one entry of its log on, an older one just as
  # well. Its interface must fit, and every replica's host must have tried it with what its replica holds; what is wrong
  # leaves the version before serving. Answered once all replicas that can be reached have switched.

  setGroup @16 (name :Text, options :List(Types.KeyValue), timeoutMs :UInt32) -> (group :GroupStatus, existed :Bool);
  # Changes options of a group that is there: its quotas (memoryBytesMax, applyTimePercentMax, callsPerSecondMax). Answered
  # once all replicas that can be reached go by them.
}

struct HostStatus {
  id @0 :UInt64;
  address @1 :Text;
  state @2 :Text;          # up, down (as the answering host sees it)
  version @3 :Text;
  bootNumber @4 :UInt64;   # of the running process, counted by its disk
  uptimeMs @5 :UInt64;
  replicas @6 :UInt64;
  leading @7 :UInt64;
  faulted @8 :UInt64;
  volumes @9 :List(Volume);
  birth @10 :Text;         # hex
  http @11 :Text;
  memoryBytes @12 :UInt64; # resident
  commands @13 :UInt64;    # that went into an entry here, since this process began
  queries @14 :UInt64;     # that were taken here
  busy @15 :List(BusyGroup);  # those with the most calls here, a bounded number

  # Counters of one group on this host, from when it became one of the busiest; they only rise.
  struct BusyGroup {
    name @0 :Text;
    id @1 :UInt64;
    leads @2 :Bool;        # its replica here does
    logBytes @3 :UInt64;
    commands @4 :UInt64;
    queries @5 :UInt64;
    # Entries by the time from being made to being applied here: place 0 counts those of less than
    # a microsecond, place n those whose microseconds have n bits, the last all that are longer.
    applyUs @6 :List(UInt64);
  }

  struct Volume {
    name @0 :Text;
    path @1 :Text;
    freeBytes @2 :UInt64;
    logBytes @3 :UInt64;
    state @4 :Text;        # open, full, failed
  }
}

struct PluginStatus {
  name @0 :Text;
  version @1 :Text;
  sha256 @2 :Text;
  bytes @3 :UInt64;
  groups @4 :UInt64;       # that run it
}

struct GroupStatus {
  name @0 :Text;
  id @1 :UInt64;
  incarnation @2 :UInt64;
  plugin @3 :PluginStatus;
  state @4 :Text;          # creating, ready, removing, removed
  leader @5 :UInt64;       # host id; 0: none known
  term @6 :UInt64;
  members @7 :List(Member);
  spec @8 :Types.GroupSpec;

  struct Member {
    host @0 :UInt64;
    replica @1 :UInt64;
    role @2 :Text;         # leader, follower, candidate, learner
    match @3 :UInt64;      # as the leader knows it; 0: not known
    state @4 :Text;        # probe, replicate, snapshot, self; as the leader sees it; unknown
    reachable @5 :Bool;    # its host answered
    commit @6 :UInt64;
    applied @7 :UInt64;
    firstIndex @8 :UInt64;
    lastIndex @9 :UInt64;
    snapshotIndex @10 :UInt64;
    applyLagMs @11 :UInt64;
    logBytes @12 :UInt64;
    memoryBytes @13 :UInt64;
    ready @14 :Bool;       # has a leader and has applied what was committed when it started
    fault @15 :Text;       # why it stopped, with the position; empty: it did not
    faultIndex @16 :UInt64;
    faultOrdinal @17 :UInt32;
    machine @18 :Text;     # running, slow, stuck, faulted, loading, quarantined, rebuilding
    digest @19 :UInt64;    # of the machine at `applied`; 0: none
    quarantinedAt @20 :UInt64;  # its digest there is not the majority's, so it serves nobody; 0: not
    digestsSplitAt @21 :UInt64; # of the leader: the digest check there had no majority; 0: none such
    plugin @22 :Text;      # sha256 of the one that applies here now
    switchedAt @23 :UInt64;  # since that entry; 0: from the group's beginning
    memoryBytesMax @24 :UInt64;      # quotas in force here; 0: none
    applyTimePercentMax @25 :UInt32;
    refuses @26 :Text;     # what they have this replica refuse now; empty: nothing
    snapshotSent @27 :UInt64;   # bytes of the leader's snapshot that are over there, while one is on its way
    snapshotTotal @28 :UInt64;  # 0: none is
    onDisk @29 :Bool;        # its machine keeps its state on disk ...
    durableIndex @30 :UInt64;  # ... and a start goes on from there
    callsPerSecondMax @31 :UInt32;  # a quota as those above
  }
}

struct ClusterStatus {
  cluster @0 :Text;
  hosts @1 :List(HostStatus);
  groups @2 :UInt64;
  groupsReady @3 :UInt64;
  groupsUnhealthy @4 :UInt64;
  plugins @5 :UInt64;
  catalogLeader @6 :UInt64;
  healthy @7 :Bool;
  problems @8 :List(Text);
}

# Words that every other schema uses.
@0xdd74bcb75f436929;

using Cxx = import "/capnp/c++.capnp";
$Cxx.namespace("flotilla::schema");

using Index = UInt64;
# A place in a group's log, from 1.

enum ErrorCode {
  # Every way in which a request can end badly. The first group is certainly not executed.
  none @0;
  noSuchGroup @1;
  groupStopping @2;
  groupRemoved @3;
  noSuchMethod @4;
  badRequest @5;
  tooLarge @6;
  denied @7;
  notLeader @8;
  overloaded @9;
  diskFull @10;
  wrongEpoch @11;
  unavailable @12;
  sessionExpired @13;
  alreadyExists @14;
  # Perhaps executed.
  unknown @15;
  timeout @16;
  faulted @17;
  # The machine's own answer, the same on every replica.
  app @18;
}

struct Fault {
  # Why a request has no result.
  code @0 :ErrorCode;
  appCode @1 :Text;   # The author's own code, with `app`; else empty.
  text @2 :Text;      # One line: who: what was found; what to do.
  leader @3 :HostAddress;  # With `notLeader`, where known: the host to ask; id 0 where not.
}

struct HostAddress {
  id @0 :UInt64;      # The host's id; 0: none.
  address @1 :Text;   # host:port of its `listen`.
}

struct Position {
  # A command's name within its group.
  index @0 :Index;    # Its entry.
  ordinal @1 :UInt32; # Its place in the entry, from 0.
}

struct Freshness {
  # How fresh a query's answer must be.
  union {
    linearizable @0 :Void;    # As of some moment between asking and answering.
    lease @1 :Void;           # The same, by the leader's lease, where the group allows it.
    staleMaxAgeMs @2 :UInt32; # From any replica that has heard of its leader this recently; 0: any age.
  }
}

struct KeyValue {
  key @0 :Text;
  value @1 :Text;
}

struct GroupSpec {
  # What is wanted of a group. Two specs are equal when all fields are, lists as sets.
  name @0 :Text;               # [a-z0-9][a-z0-9._-]{0,62}
  plugin @1 :Text;             # NAME or NAME@VERSION; without a version, the newest pushed.
  on @2 :List(UInt64);         # Hosts of the voters; empty: `replicas` of them, chosen evenly.
  replicas @3 :UInt32;         # Voters where `on` is empty; 0: 3, or as many as there are hosts.
  learners @4 :List(UInt64);   # Hosts of the learners.
  options @5 :List(KeyValue);  # Raft options by the names of DESIGN §9, as text.
  config @6 :List(KeyValue);   # The plugin's own.
}

enum MethodKind {
  command @0;  # Replicated, changes state.
  query @1;    # Reads it.
}

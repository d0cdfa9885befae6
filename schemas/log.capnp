# What lies in a group's log and beside its snapshots.
@0x9069941f17dbbac7;

using Cxx = import "/capnp/c++.capnp";
$Cxx.namespace("flotilla::schema");
using Types = import "types.capnp";
using Peer = import "peer.capnp";

struct Entry {
  # One entry's payload: a message of one segment without segment table, so that parts of it are read in place.
  timeUs @0 :Int64;        # the leader's log time, microseconds since 1970
  union {
    noOp @1 :Void;
    commands @2 :List(Command);
    configuration @3 :Peer.Configuration;
    openSession @4 :UInt64;  # salt of the session; its id is the entry's index
    timers @5 :Void;         # what is due by timeUs fires, so many at once as group::kTimersAtOnceMax says
    digestCheck @6 :Void;    # each replica takes its digest here, and begins anew to count and to digest answers
    switchPlugin @7 :Text;   # sha256: from here on that plugin's machine applies, made of what the one before holds
  }

  struct Command {
    session @0 :UInt64;
    sequence @1 :UInt64;
    acknowledgedBelow @2 :UInt64;
    interfaceId @3 :UInt64;
    params @4 :Data;
    method @5 :UInt16;
  }
}

struct GroupState {
  # What the host replicates beside the machine: the applier's, durable at the machine's index.
  index @0 :UInt64;
  term @1 :UInt64;
  timeUs @2 :Int64;
  configuration @3 :Peer.ConfigurationAt;
  sessions @4 :List(Session);
  timers @5 :List(Timer);  # pending, in the order in which they fire
  unchecked @6 :UInt64;    # entries that may have changed something, since the last digest check
  answers @7 :UInt64;      # rolling digest of the machine's answers, since then
  counted @8 :Bool;        # both are; not in what was saved before there were checks
  plugin @9 :Text;         # sha256 of what wrote the machine's section, since a switch; empty: the group's first
  switchedAt @10 :UInt64;   # the entry that brought it
  events @11 :List(Event);  # the newest, by position
  lastEvent @12 :Types.Position;         # of all that there were
  eventsForgotten @13 :Types.Position;   # the last that is not kept any more

  struct Session {
    id @0 :UInt64;
    acknowledgedBelow @1 :UInt64;
    lastUsedUs @2 :Int64;
    answers @3 :List(Answer);
  }
  struct Answer {
    sequence @0 :UInt64;
    ordinal @1 :UInt32;
    index @2 :UInt64;
    code @3 :Types.ErrorCode;
    appCode @4 :Text;
    body @5 :Data;
    count @6 :UInt16 = 1;  # answers alike: each next one has the next sequence and the next ordinal. Hosts that know of
                           # one only are why more are not always saved: see group/entry.h, kRunsVersion. In what was a
                           # hole, so that a state of single answers is as it was, and so is its digest
  }
  struct Event {
    index @0 :UInt64;    # of the command that told it
    ordinal @1 :UInt32;
    topic @2 :Data;
    message @3 :Data;
  }
  struct Timer {
    timeUs @0 :Int64;   # of log time
    token @1 :UInt64;   # the machine's own
  }
}

struct SnapshotHead {
  # The first chunk of a snapshot file: group::SnapshotHead.
  group @0 :UInt64;
  index @1 :UInt64;
  term @2 :UInt64;
  configuration @3 :Peer.Configuration;
  groupBytes @4 :UInt64;   # of the group section
}

struct ReplicaState {
  # A replica's record in a volume's log: group::ReplicaState.
  term @0 :UInt64;
  vote @1 :UInt64;
  commit @2 :UInt64;
  baseIndex @3 :UInt64;
  baseTerm @4 :UInt64;
  runs @5 :List(Peer.Message.Run);
  configurations @6 :List(Peer.ConfigurationAt);
  snapshotIndex @7 :UInt64;
  snapshotTerm @8 :UInt64;
  generation @9 :UInt64;
}

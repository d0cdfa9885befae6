# What an application asks of a host. The bootstrap capability of every connection is a Gate.
@0x8d90a4d01ca58740;

using Cxx = import "/capnp/c++.capnp";
$Cxx.namespace("flotilla::schema");
using Types = import "types.capnp";

# A failed call's exception carries `flotilla/<code>[/<author's code>]: <text>`; its type is OVERLOADED for
# `overloaded`, UNIMPLEMENTED for `noSuchMethod`, DISCONNECTED for a dead connection only, else FAILED.

# A connection may have so much under way: 65,536 calls with 256 MiB of parameters, and 64 MiB of answers that have not left;
# what is beyond is `overloaded`. While 16 MiB wait for a client that does not read, nothing more is read of it. Answers of what
# is under way already come to 256 MiB at most, and then end as those do that a batch has no room for.

interface Gate {
  # The door. It alone can be reached without a secret.

  login @0 (token :Text) -> (session :Login);
  # Wrong tokens are `denied`. A token is a line of text; roles are what the host's files say of it. A connection
  # logs in once, within ten seconds and its first 256 KiB.
}

struct Login {
  role @0 :Role;
  host @1 :Host;           # For every role but `peer`.
  admin @2 :Capability;    # admin.capnp Admin, for operators; null for others.
  peer @3 :Capability;     # peer.capnp Peer, for peers; null for others.
  hostId @4 :UInt64;       # Who answers here.
  cluster @5 :Text;        # The cluster's name.
  version @6 :Text;        # Of flotilla-host.
  hosts @7 :List(Types.HostAddress);  # All hosts that this one knows, itself included.
}

enum Role { client @0; operator @1; peer @2; }

interface Host {
  # One host as an application sees it. Any host answers for any group: itself, or by asking the right one once.

  createGroup @0 (spec :Types.GroupSpec) -> (group :Group);
  # Operators only. Returns the existing group when its spec is equal, else `alreadyExists` with the difference.

  findGroup @1 (name :Text) -> (group :Group, entry :GroupEntry);
  # `noSuchGroup` where there is none. The entry says who leads it, as this host last heard, and which incarnation
  # `group` is bound to: what a client needs to go to the leader and to keep its sessions apart. A connection may have 1,024
  # such questions under way.

  hasGroup @2 (name :Text) -> (has :Bool);
  listGroups @3 (after :Text, limit :UInt32) -> (groups :List(GroupEntry), more :Bool);
  # Names in order, those greater than `after`; limit 0: 1,000, at most 10,000.

  countGroups @4 () -> (groups :UInt64, limit :UInt64);

  openCourier @5 (receiver :CourierReceiver) -> (courier :Courier);
  # For whoever calls many groups: batches of several groups travel in one call, and so do their outcomes.
}

interface Courier {
  # Takes batches to their groups. It belongs to its connection and ends with it; what became of a parcel whose
  # answer has not come by then is not known.

  submit @0 (parcels :List(Parcel)) -> ();
  # Returns when they are on their way. Each is answered by itself, in whatever order they end.
}

interface CourierReceiver {
  # The other end, at the client.

  deliver @0 (answers :List(ParcelAnswer)) -> ();
  # Each parcel's answer comes once. The host has a few such calls under way and gathers meanwhile.
}

struct Parcel {
  # What Group.submit would be asked of that group.

  number @0 :UInt64;       # The client's; its answer carries it.
  group @1 :UInt64;
  incarnation @2 :UInt64;
  commands @3 :List(Command);
}

struct ParcelAnswer {
  number @0 :UInt64;
  union {
    outcomes @1 :List(Outcome);  # In the order asked.
    fault @2 :Types.Fault;       # None of its commands was begun.
  }
}

struct GroupEntry {
  name @0 :Text;
  id @1 :UInt64;
  incarnation @2 :UInt64;
  plugin @3 :Text;     # NAME@VERSION
  state @4 :Text;      # creating, ready, removing
  leader @5 :Types.HostAddress;  # As this host last heard; id 0: not known.
}

interface Group {
  # One group, bound to its id and incarnation: it survives changes of leader and of replicas, and answers
  # `groupRemoved` once the group is gone, also when another of the same name is created.

  service @0 () -> (service :Capability);
  # The plugin's own interface. A call of a command is replicated; if the connection breaks before the
  # answer it may or may not have happened. Parameters must not carry capabilities, and are at most 4 MiB;
  # an answer is at most 60.

  submit @1 (commands :List(Command)) -> (outcomes :List(Outcome));
  # Runs each command once; answers when all have ended, in the order asked. At most 4 MiB a batch. Its answers come to 32 MiB
  # at most, or one alone to 60: a command whose answer has no room beside those before it is `unknown` with its position: it
  # was carried out. With a stamp it may be asked again, for answers up to 64 KiB are kept.

  query @2 (questions :List(Question), freshness :Types.Freshness) -> (outcomes :List(Outcome));
  # Asks without changing anything. Bounds as with `submit`; a question whose answer has no room is `overloaded`: ask it again.

  openSession @3 () -> (session :UInt64);
  # A new session, replicated. One that is not used for an hour of log time expires.

  describe @4 () -> (description :GroupDescription);

  subscribe @5 (topicPrefix :Text, after :Types.Position, sink :EventSink) -> (subscription :Subscription);
  # What the group's machine emits from then on and what it still keeps after that position, of topics that begin so: in
  # the log's order, each once, pushed to `sink` until `subscription` is dropped. A group keeps its newest events, 16,384
  # or 8 MiB of them. Position 0: all that is kept; index 2^64 - 1: only what comes from now on.
}

interface Subscription {
  # Dropped when no more is wanted.

  wait @0 () -> ();
  # Never answered: it fails once nothing more comes from this host. Then subscribe again, at another.
}

interface EventSink {
  # Who listens. At most four pushes are not answered at a time: answering is the credit for the next.

  push @0 (events :List(Event), upTo :Types.Position, compacted :Bool, more :Bool) -> ();
  # The first comes at once, also without events. `upTo` is where to begin again, at any host. `compacted`: before these,
  # some are gone that the group does not keep any more. `more`: more is kept behind these.
}

struct Event {
  position @0 :Types.Position;  # Of the command that emitted it; several may have one.
  topic @1 :Text;
  message @2 :Data;             # The machine's own.
}

struct Command {
  stamp @0 :Stamp;
  interfaceId @1 :UInt64;  # Of the interface that declares the method.
  method @2 :UInt16;
  params @3 :Data;         # One Cap'n Proto segment, root pointer first; no segment table.
}

struct Question {
  interfaceId @0 :UInt64;
  method @1 :UInt16;
  params @2 :Data;
}

struct Stamp {
  # Makes a repeated command harmless: the group applies each (session, sequence) once and keeps its answer
  # until the client has acknowledged it.
  session @0 :UInt64;   # From openSession; 0 for a command that may run twice.
  sequence @1 :UInt64;  # From 1, another for each new command of the session.
  acknowledgedBelow @2 :UInt64;  # Answers below this sequence have arrived; the group may forget them.
}

struct Outcome {
  union {
    answer @0 :Data;         # The result: one segment, as with params.
    fault @1 :Types.Fault;
  }
  position @2 :Types.Position;  # Of the command; for a query, index is what it saw applied.
}

struct GroupDescription {
  name @0 :Text;
  id @1 :UInt64;
  incarnation @2 :UInt64;
  plugin @3 :PluginDescription;
}

struct PluginDescription {
  name @0 :Text;
  version @1 :Text;
  sha256 @2 :Text;         # lower-case hex
  interfaceId @3 :UInt64;  # the root interface
  methods @4 :List(Method);
  schema @5 :Data;         # A message (with segment table): schema.capnp's CodeGeneratorRequest, `nodes` filled:
                           # the root interface and all that it needs. What dynamic clients load.
  stateVersion @6 :UInt32;

  struct Method {
    interfaceId @0 :UInt64;
    method @1 :UInt16;
    name @2 :Text;
    kind @3 :Types.MethodKind;
  }
}

# What hosts of one cluster say to each other.
@0x9f56af65c1542e4d;

using Cxx = import "/capnp/c++.capnp";
$Cxx.namespace("flotilla::schema");
using Types = import "types.capnp";
using Client = import "client.capnp";
using Admin = import "admin.capnp";

interface Peer {
  # Given to a host that logged in with the peers' secret. Nothing but `hello` is answered before `hello`.

  hello @0 (mine :Handshake) -> (yours :Handshake, takesAsides :Bool);
  # Another cluster, another birth under a known id, or a stranger is `denied`. `takesAsides`: of this connection, see Aside.

  frame @1 (frame :Frame) -> ();
  # All groups' Raft messages of the moment from one host to another. Answered soon, some at a time: an answer is the credit for one
  # more frame; messages may still be dropped where a queue is full. Who says `takesAsides` is given frames aside instead.

  openSnapshot @2 (head :Message, bytes :UInt64, checksum :UInt64) -> (sink :SnapshotSink);
  # Streams a snapshot file; `head` is received by the group's core when the file is whole and synced.

  group @3 (id :UInt64, incarnation :UInt64) -> (group :Client.Group);
  # That group as this host alone answers for it: `notLeader` with a hint where it does not lead. What forwarding uses.

  fetchPlugin @4 (sha256 :Text, offset :UInt64, limit :UInt32) -> (bytes :Data, total :UInt64);
  # A piece of a plugin's file, at most 4 MiB; `noSuchGroup`'s sibling here is `badRequest` for an unknown hash.

  status @5 (groups :List(UInt64)) -> (host :Admin.HostStatus, replicas :List(ReplicaStatus));
  # What this host last published of its replicas of these groups; an empty list asks for what it says of itself, which
  # costs more the more replicas it has.

  control @6 (group :UInt64, verb :Verb, argument :UInt64) -> (value :UInt64);
  # An operator's word to this host's replica of a group.

  beat @7 (boot :UInt64, sleeping :UInt64) -> ();
  # Told again and again: our boot number, and a digest of the groups that sleep under our lead together with a member on
  # the called host (host/group/sleepers.h).

  offerSnapshot @8 (head :Message, bytes :UInt64, chunks :UInt64) -> (there :SnapshotChunks);
  # As openSnapshot, of a file of version 2, whose chunks the other side may have already. What it has taken it keeps where the
  # connection breaks: the same offered again goes on there.

  upgrade @9 (group :UInt64, sha256 :Text, switch :Bool) -> (index :UInt64);
  # This host's replica is to run that plugin. Without `switch` it is tried alone: its file, and in a child process a machine
  # of it with the group's settings and this replica's state. With it the leader proposes the switch; its index.

  enum Verb {
    transfer @0;   # argument: replica to hand leadership to; refused with notLeader
    snapshot @1;   # saves one now; value: its index
    retry @2;      # a faulted replica tries again; value: 1 if it was faulted
    rebuild @3;    # the replica forgets its machine and asks for a snapshot
  }
}

struct ReplicaStatus {
  group @0 :UInt64;
  incarnation @1 :UInt64;
  leaderReplica @2 :UInt64;
  term @3 :UInt64;
  member @4 :Admin.GroupStatus.Member;
  progress @5 :List(Progress);  # where this replica leads

  struct Progress {
    replica @0 :UInt64;
    match @1 :UInt64;
    state @2 :Text;
    snapshotSent @3 :UInt64;   # bytes of the snapshot on its way there
    snapshotTotal @4 :UInt64;  # 0: none is
  }
}

struct Handshake {
  clusterId @0 :Text;    # hash of the founding record, hex; empty before the founding
  cluster @1 :Text;      # its name
  host @2 :UInt64;
  birth @3 :Text;        # hex of 128 random bits that the disk carries
  founders @4 :List(Types.HostAddress);  # this host's list, to be equal at the founding
  founded @5 :Bool;
  version @6 :Text;
  bootNumber @7 :UInt64;
}

struct Frame {
  messages @0 :List(Message);
}

struct Aside {
  # What hosts say on a connection beside its calls (sdk/client/message_pipe.h), for less than a call costs.
  union {
    frame @0 :Frame;     # from the caller, after `hello`
    credits @1 :UInt32;  # to it: so many of its frames have been taken, the oldest first
  }
}

struct Message {
  # raft::Message with its group; see host/raft/message.h for which fields a kind uses.
  group @0 :UInt64;
  incarnation @1 :UInt64;
  kind @2 :UInt8;          # raft::MessageKind
  from @3 :UInt64;
  to @4 :UInt64;
  term @5 :UInt64;
  afterIndex @6 :UInt64;
  afterTerm @7 :UInt64;
  lastIndex @8 :UInt64;
  lastTerm @9 :UInt64;
  hintIndex @10 :UInt64;
  hintTerm @11 :UInt64;
  commit @12 :UInt64;
  index @13 :UInt64;
  context @14 :UInt64;
  granted @15 :Bool;
  force @16 :Bool;
  runs @17 :List(Run);
  configurations @18 :List(ConfigurationAt);
  entries @19 :List(Data); # payloads of the entries after `afterIndex`, in order

  struct Run {
    last @0 :UInt64;
    term @1 :UInt64;
  }
}

struct Configuration {
  voters @0 :List(UInt64);
  outgoing @1 :List(UInt64);
  learners @2 :List(UInt64);
  learnersNext @3 :List(UInt64);
  autoLeave @4 :Bool;
}

struct ConfigurationAt {
  index @0 :UInt64;
  configuration @1 :Configuration;
}

interface SnapshotSink {
  write @0 (offset :UInt64, bytes :Data) -> ();   # in order, at most 1 MiB
  done @1 () -> ();  # answers when the file is checked, synced and handed to the group
}

interface SnapshotChunks {
  ask @0 (heads :Data) -> (wanted :Data);
  # The heads of the next chunks, as host/group/chunk.h has them, at most 1,024; a byte for each, 1 where it is to be given. All of
  # them are given before more are asked for.

  give @1 (stored :Data) -> ();
  # The bytes of the next ones that are wanted as they are stored, one after the other, whole. `corrupt` where one fails its checksum.

  done @2 () -> ();
  # Answers when the file is whole, synced and handed to the group.
}

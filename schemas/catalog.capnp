# The catalog: which hosts, plugins and groups exist, and what is wanted of them. Group 0's own interface;
# hosts alone call it. Every command is atomic and may be given twice.
@0xc1d9a6f04b7e2358;

using Cxx = import "/capnp/c++.capnp";
$Cxx.namespace("flotilla::schema");
using Types = import "types.capnp";

# An author's error code of this machine is spelled as the ErrorCode it stands for (`badRequest`, `alreadyExists`,
# `noSuchGroup`, `denied`), so that the host can answer with that.

interface Catalog {
  registerHost @0 (host :CatalogHost) -> (revision :UInt64);
  # Given by each host whenever it starts. The first binds the id to the birth; another birth under a known
  # id is `denied`, an older boot number of the same birth changes nothing.

  addPlugin @1 (plugin :CatalogPlugin) -> (existed :Bool);
  # Other bytes under a known name and version are `alreadyExists`.

  createGroup @2 (spec :Types.GroupSpec, declared :Bool) -> (id :UInt64, incarnation :UInt64, existed :Bool);
  # Chooses hosts, resolves the plugin, gives out ids. A group of that name with an equal spec is answered as `existed`.
  # `declared`: it stands in a [[group]] table, and is created once: not again after it was removed.

  removeGroup @3 (name :Text, id :UInt64) -> (id :UInt64, existed :Bool);
  # By id where `id` is not 0, else by name. From here on the name is free. `existed` is false where there was none, or
  # where it is being removed already; `id` is then that group's, or 0.

  report @4 (report :HostReport) -> (revision :UInt64);
  # What a host has made true. Reports on what the catalog has forgotten, or of another birth, change nothing.

  changes @5 (after :UInt64, limit :UInt32, walking :Bool) -> (changes :CatalogChanges);
  # What has changed since revision `after`, oldest first; 0 begins from nothing. limit 0: 1,000 records; a step ends too
  # where its records come to a MiB. An `after` that lies ahead is answered with the revision alone. `walking`: it is
  # where a step with `more` has led, so that what was forgotten long ago does not begin it anew.

  switchGroup @6 (id :UInt64, incarnation :UInt64, sha256 :Text, at :UInt64) -> ();
  # The group's log has switched it to that plugin, by entry `at`. One that is not newer than what is known changes nothing.

  setGroup @7 (id :UInt64, options :List(Types.KeyValue)) -> (optionsVersion :UInt64, existed :Bool);
  # Options that may change while the group is there; the others stay as they are. `existed`: all were so already. Hosts of
  # clusterVersion 3 know it, and those of 4 callsPerSecondMax.
}

struct CatalogHost {
  # A host as it describes itself.
  id @0 :UInt64;
  birth @1 :Text;          # hex of the 128 random bits that its disk carries
  address @2 :Text;        # host:port for clients, operators and peers
  version @3 :Text;        # of flotilla-host
  bootNumber @4 :UInt64;   # counted by its disk, from 1
  clusterVersion @5 :UInt32;  # what it understands: see group/entry.h, kEntriesVersion
  founder @6 :Bool;        # a voter of group 0 since the founding
  http @7 :Text;           # host:port, or empty
  volumes @8 :List(Text);  # names of its volumes beside the default one
}

struct CatalogPlugin {
  name @0 :Text;
  version @1 :Text;
  sha256 @2 :Text;         # lower-case hex
  bytes @3 :UInt64;
  description @4 :Data;    # A Client.PluginDescription as one segment, root pointer first; at most 1 MiB.
  holders @5 :List(UInt64);  # hosts that have the file
  pushed @6 :UInt64;       # rises with each plugin; the newest of a name is the highest
}

struct CatalogGroup {
  id @0 :UInt64;           # from 1, never reused
  incarnation @1 :UInt64;  # never reused
  spec @2 :Types.GroupSpec;  # as it was asked for; lists sorted
  pluginSha256 @3 :Text;
  pluginName @4 :Text;
  pluginVersion @5 :Text;
  state @6 :State;
  replicas @7 :List(CatalogReplica);  # voters first; the first is the preferred leader
  firstSha256 @8 :Text;    # the plugin it was created with, where pluginSha256 is another one since
  switchedAt @9 :UInt64;   # the entry of its log that brought the latter; 0: none has
  optionsVersion @10 :UInt32;  # how often its spec's options have been changed; 32 bits lie where the struct has
                           # room, so that where there are none a record's bytes are those of before

  enum State {
    creating @0;   # a majority of its voters has yet to report `ready`
    ready @1;
    removing @2;   # forgotten once every host that has a replica has reported `removed`
  }
}

struct CatalogReplica {
  id @0 :UInt64;           # within the group, from 1, never reused
  host @1 :UInt64;
  voter @2 :Bool;
  state @3 :State;
  initial @4 :Bool;        # part of the group's first configuration; others join an empty log to it

  enum State {
    # Only ever moves forward.
    wanted @0;
    ready @1;      # it has had a leader
    removed @2;    # wiped, behind a tombstone
  }
}

struct HostReport {
  host @0 :UInt64;
  birth @1 :Text;
  replicas @2 :List(Replica);
  plugins @3 :List(Text);  # sha256 of files that it has

  struct Replica {
    group @0 :UInt64;
    incarnation @1 :UInt64;
    replica @2 :UInt64;
    state @3 :CatalogReplica.State;
  }
}

struct CatalogChanges {
  # One step from an older state of the catalog to a newer.
  revision @0 :UInt64;     # where this step leads
  more @1 :Bool;           # ask again after `revision`
  full @2 :Bool;           # forget all that was known first
  hosts @3 :List(CatalogHost);
  plugins @4 :List(CatalogPlugin);
  groups @5 :List(CatalogGroup);
  forgotten @6 :List(UInt64);  # ids of groups that are gone everywhere
  clusterVersion @7 :UInt32;
  lastGroup @8 :UInt64;    # the highest id that was given to a group
}

// What one replica of a group needs of the world: a disk, a way out, a machine, callers, a clock.
#pragma once

#include <compare>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "flotilla/bytes.h"
#include "flotilla/rarely.h"
#include "flotilla/result.h"
#include "host/group/digests.h"
#include "host/raft/effects.h"
#include "host/raft/log_shape.h"
#include "host/raft/message.h"
#include "host/raft/types.h"

namespace flotilla::group {

// A replica, anywhere: group ids and, within a group, replica ids are never used twice.
struct ReplicaKey {
  uint64_t group = 0;
  uint64_t replica = 0;

  auto operator<=>(const ReplicaKey&) const = default;
};

// One entry as it lies in a log: opaque bytes (schemas/log.capnp Entry), at an index, of a term.
struct LogEntry {
  raft::Index index = 0;
  raft::Term term = 0;
  Bytes payload;
};

// What the disk knows of a replica beside its entries. Goes, whole, with each write: it is small.
struct ReplicaState {
  raft::HardState hard;
  raft::LogShape shape;     // first and last index, term runs, configurations
  raft::LogPoint snapshot;  // the newest saved snapshot; index 0: none
  uint64_t generation = 0;  // of the machine's directory; rises with each installed snapshot
  int64_t logTimeUs = 0;    // the newest stamp that its entries have borne; 0: none
};

// ---- disk ------------------------------------------------------------------------------------

struct DiskWrite {
  raft::WriteId id = 0;
  ReplicaState state;             // as it is to be after this write
  std::vector<LogEntry> entries;  // consecutive; they replace whatever stood from the first on
  bool reset = false;             // nothing written earlier is part of the log any more
};

struct DiskFetch {
  uint64_t id = 0;        // the asker's, given back
  raft::Index after = 0;  // entries (after, last]
  raft::Index last = 0;
  uint64_t bytesMax = 0;  // stop after the entry that reaches this many bytes; at least one entry
};

// A fetch's end. A fault `corrupt` stops the replica.
struct Fetched {
  uint64_t id = 0;
  Result<std::vector<LogEntry>> entries;
};

// The logs of all replicas of one volume.
//
// Owner:  runtime; outlives every Group.
// Thread: the group's loop. The waiting is done on the volume's own thread.
// Errors: a failed write is never tried again: no space closes the volume until there is room
//         (Group::take(VolumeFull)), anything else stops the host. A failed read is the reader's.
class Disk {
public:
  virtual ~Disk() = default;

  // Returns at once and never answers from inside the call. Writes of one replica end in order;
  // each is answered with Persisted, perhaps only the last of several.
  virtual void write(ReplicaKey replica, DiskWrite write) = 0;
  // Entries as last written, safe or not. Answered with Fetched.
  virtual void fetch(ReplicaKey replica, DiskFetch fetch) = 0;
};

// ---- the way out -----------------------------------------------------------------------------

// A Raft message with the bytes of the entries it names.
struct PeerMessage {
  uint64_t group = 0;
  uint64_t incarnation = 0;
  raft::Message message;
  std::vector<LogEntry> entries;  // append only; exactly those that message.runs name
};

// Owner:  runtime; outlives every Group.
// Thread: the group's loop.
// Errors: none: a message may be lost, late, repeated or out of order, and Raft does not mind.
class Outbox {
public:
  virtual ~Outbox() = default;
  virtual void send(PeerMessage&& message) = 0;
  // Streams the newest snapshot of `from` to replica `to`; answered with raft::SnapshotSent. `head`
  // is the Raft message that is received over there once the file is whole and synced.
  virtual void sendSnapshot(ReplicaKey from, raft::Message head) = 0;
};

// ---- commands, queries and their answers -----------------------------------------------------

// Where in the log a command stands.
struct Position {
  raft::Index index = 0;
  uint32_t ordinal = 0;

  auto operator<=>(const Position&) const = default;
};

// Names a caller who waits; the caller's own business beyond that. 0: nobody waits.
using CallId = uint64_t;

// Parameters and results are one Cap'n Proto segment each, root pointer first, no segment table.
struct Outcome {
  ErrorCode code = ErrorCode::none;  // none: `body` is the result's segment; else it is a text
  Rarely<std::string> appCode;       // with ErrorCode::app: the author's code
  Bytes body;
  Position position;               // of the command; for a query, index = what it saw applied
  raft::ReplicaId leaderHint = 0;  // with notLeader: whom to ask; 0 where not known

  bool ok() const { return code == ErrorCode::none; }
};

// Makes a repeated command harmless: see schemas/client.capnp Stamp.
struct Stamp {
  uint64_t session = 0;  // 0: none, the command may run twice if repeated
  uint64_t sequence = 0;
  uint64_t acknowledgedBelow = 0;

  bool operator==(const Stamp&) const = default;
};

// A call as it arrives, of either kind. `params` must stay alive and unchanged while held.
struct Call {
  Stamp stamp;               // commands only
  uint64_t interfaceId = 0;  // the interface that declares the method
  uint16_t method = 0;
  Bytes params;
  bool frees = false;  // commands only: it makes the state smaller, as its machine says
};

// How fresh a query's answer must be.
struct Freshness {
  enum class Kind : uint8_t {
    linearizable,  // as of some moment between asking and answering
    lease,         // the same, by the leader's lease, where the group allows it
    stale,         // from any replica that has heard of its leader within maxAgeUs
  };
  Kind kind = Kind::linearizable;
  int64_t maxAgeUs = 0;  // stale only; 0: any age
};

// Owner:  runtime or api; outlives every Group.
// Thread: the group's loop.
// Errors: none.
class Callers {
public:
  virtual ~Callers() = default;
  virtual void answer(CallId call, Outcome outcome) = 0;
};

// ---- the machine -----------------------------------------------------------------------------

// One command as a machine sees it, or a timer of its own that has come due.
struct MachineCommand {
  Position position;
  raft::Term term = 0;
  int64_t timeUs = 0;  // log time, microseconds since 1970
  uint64_t seed = 0;   // the same on every replica
  uint64_t session = 0;
  uint64_t interfaceId = 0;
  uint16_t method = 0;
  bool wakes = false;  // a timer: `token` says which, there is no method and nobody to answer
  uint64_t token = 0;
  std::string_view params;
};

// Why a machine without `wake` cannot take the place of one that has timers.
constexpr std::string_view kTimersPending =
    "timers are pending, and it has no wake to be called when they come due";
// No timer is pending.
constexpr int64_t kNoTimer = INT64_MAX;

// Receives answers by place in the run.
//
// Thread: the caller's of apply or query, during the call.
// Errors: none; a place that is past the run, or answered already, is ignored.
class Answers {
public:
  virtual ~Answers() = default;
  virtual void result(size_t place, std::string_view segment) = 0;
  virtual void error(size_t place, std::string_view appCode, std::string_view text) = 0;
  // The command at `place`, which is to be answered next, wants to be woken then; forgotten where
  // its answer is an error. False: no more timers can be kept.
  virtual bool wakeAt(size_t place, int64_t timeUs, uint64_t token) = 0;
  // It tells those who listen; likewise. Topic and message are within abi.h's bounds. False: one
  // command cannot tell so much.
  virtual bool emit(size_t place, std::string_view topic, std::string_view message) = 0;
};

// Takes a snapshot, or a machine's section of one, piece by piece.
//
// Thread: its owner's.
// Errors: a Fault where it cannot be written; nothing more is to be written then.
class SnapshotSink {
public:
  virtual ~SnapshotSink() = default;
  virtual Result<void> write(std::string_view piece) = 0;
};

// Gives one piece by piece.
//
// Thread: its owner's.
// Errors: a Fault where it cannot be read, or fails its checks.
class SnapshotSource {
public:
  virtual ~SnapshotSource() = default;
  // Fills up to `size` bytes; 0 at the end.
  virtual Result<size_t> read(char* to, size_t size) = 0;
};

// A state held still.
// Thread: any one, beside later applies.
// Errors: the sink's, or a Fault of the machine's own.
class Capture {
public:
  virtual ~Capture() = default;
  virtual Result<void> save(SnapshotSink& sink) const = 0;
};

// A machine's state held still, to be asked of.
// Thread: any, several at a time, beside later applies. Errors: as Machine::query's.
class FrozenMachine {
public:
  virtual ~FrozenMachine() = default;
  virtual Result<void> query(const MachineCommand& question, Answers& answers) const = 0;
};

// ---- a machine's own place on disk -----------------------------------------------------------

// What one atomic write has made of an on-disk machine's place: the group state as it was at `at`,
// where the keys and values beside it stand as well.
struct Kept {
  raft::LogPoint at;  // index 0: a place that is still being filled
  Bytes groupState;
};

// Keys in order, from one on.
//
// Thread: its maker's.
// Errors: a Fault from `next` ends it.
class KeyWalk {
public:
  virtual ~KeyWalk() = default;
  // False at the end. Both live until the next call.
  virtual Result<bool> next(std::string_view& key, std::string_view& value) = 0;
};

// Keys and values held still, beside later writes.
//
// Thread: any one.
// Errors: its walks'.
class HeldKeys {
public:
  virtual ~HeldKeys() = default;
  virtual std::unique_ptr<KeyWalk> walk(std::string_view from) const = 0;
};

// What is to be written to a place at once; no value: erase.
using KeyChanges = std::map<std::string, std::optional<std::string>, std::less<>>;

// One generation of one on-disk machine's state, as it lies on disk.
//
// Owner:  MachineStore.
// Thread: one at a time; what `hold` gives is read beside it, on any.
// Errors: diskFull: nothing was written, and the same may be tried again; anything else is for
// good.
class KeptKeys {
public:
  virtual ~KeptKeys() = default;
  virtual const Kept& kept() const = 0;
  virtual Result<bool> get(std::string_view key, std::string& value) = 0;
  virtual std::unique_ptr<KeyWalk> walk(std::string_view from) = 0;
  virtual std::shared_ptr<const HeldKeys> hold() = 0;
  // All of it or nothing, and safe once it returns.
  virtual Result<void> write(const KeyChanges& changes, Kept kept) = 0;
  virtual Result<void> mend() { return {}; }  // after a fault: tries whether it still stands
  // So much is gathered for the next write. True: with all that share its room it is too much, and
  // to be written soon.
  virtual bool gathered(uint64_t) { return false; }
  virtual void rest() {}  // nothing is written for a while: memory for it may go
  virtual uint64_t memoryBytes() const = 0;
};

class MachineStore;

// One instance of a plugin's class, or a machine that is built in. One on disk holds in memory only
// what it has changed since its last sync: then all of it and the group state go to its store in
// one atomic write, so that a start goes on from there.
//
// Owner:  Applier.
// Thread: one apply worker at a time; captures are read beside.
// Errors: a Fault from apply, capture or load is a fault of the replica: it stops there. `place` of
//         apply's fault is the command that could not be applied; those before it were.
class Machine {
public:
  virtual ~Machine() = default;

  struct ApplyEnd {
    size_t applied = 0;          // so many commands of the run, each answered
    std::optional<Fault> fault;  // why the next one was not
  };
  virtual ApplyEnd apply(const MachineCommand* commands, size_t count, Answers& answers) = 0;
  // A query never changes anything; an author's error is an answer, a Fault stops the replica.
  virtual Result<void> query(const MachineCommand& question, Answers& answers) = 0;
  virtual Result<std::unique_ptr<Capture>> capture() = 0;
  virtual Result<void> load(SnapshotSource& source) = 0;
  virtual std::optional<uint64_t> digest() = 0;  // nothing: the machine keeps none
  virtual uint64_t memoryBytes() { return 0; }   // a rough figure, 0: unknown; its store's apart
  virtual bool wakes() const { return true; }    // it takes timers that have come due
  // A query that may take long, and is to be asked of a frozen machine.
  virtual bool isLong(uint64_t, uint16_t) const { return false; }
  // The state as it is now. Short.
  virtual Result<std::shared_ptr<const FrozenMachine>> freeze() {
    return Fault{ErrorCode::faulted, "machine: cannot be frozen", {}};
  }
  // ---- on disk
  virtual bool onDisk() const { return false; }
  virtual uint32_t stateVersion() const { return 1; }
  // Goes on from what is in the store: before anything else, and again for another plugin's machine
  // where that is to take over. Then `load` fills the store, which must be empty.
  virtual Result<void> open(std::shared_ptr<MachineStore>) { return {}; }
  // All that it holds in memory of its state goes to its store, not yet to the disk.
  virtual Result<void> settle() { return {}; }
  virtual std::shared_ptr<MachineStore> store() const { return nullptr; }
  // Which kind the machine says (interface, method) is; nothing: it has no such method.
  enum class MethodKind : uint8_t { command, query };
  virtual std::optional<MethodKind> kindOf(uint64_t interfaceId, uint16_t method) const = 0;
};

// ---- the applier, as its group sees it ---------------------------------------------------------

// Committed entries in order, to be applied once.
struct ApplyRequest {
  uint64_t generation = 0;
  std::vector<LogEntry> entries;
  bool answersWanted = false;  // somebody here waits for the commands' outcomes
  // Else nobody waits for its Applied, and the group has heard of all before it: this one may come
  // with what the group is given next, a tick later at most.
  bool endWanted = true;
  bool givesWay = false;   // nobody waits for it, and the machine is not far behind
  bool runsKnown = false;  // every host of the cluster loads kept answers that are saved as runs
};

// The end of one or more ApplyRequests.
struct Applied {
  uint64_t generation = 0;
  raft::Index index = 0;  // the last entry applied
  struct Answer {
    Position position;
    Outcome outcome;
  };
  std::vector<Answer> answers;  // where they were wanted, in order
  std::optional<Fault> fault;   // the replica stops at `faultAt`; index is the last whole entry
  Position faultAt;
  int64_t nextTimerUs = kNoTimer;  // the earliest pending, in log time, after `index`
  std::vector<DigestAt> digests;   // taken at entries that asked for one
  // Entries that may have changed something, since the last of them; kCheckNow and more: something
  // has that is to be compared at once.
  uint64_t unchecked = 0;
  std::optional<raft::LogPoint>
      durable;  // of a machine on disk: a start needs no entry up to there
};
constexpr uint64_t kCheckNow = uint64_t{1} << 40;

struct QueryRequest {
  uint64_t generation = 0;
  CallId call = 0;
  Call question;
};

// A query's end.
struct Queried {
  CallId call = 0;
  Outcome outcome;
};

// Capture at the current boundary and save: snapshots/<group>-<replica>/, written aside, synced,
// renamed. The file's header carries point and configuration.
struct SnapshotRequest {
  uint64_t generation = 0;
  raft::LogShape shape;  // for the configuration and term at the boundary
  // The volume is crowded and asks many groups for one: small ones lie together.
  bool amongMany = false;
  bool runsKnown = false;  // as of an ApplyRequest
};
struct SnapshotSaved {
  uint64_t generation = 0;
  raft::LogPoint point;  // a machine on disk is durable there
  uint64_t bytes = 0;
  std::optional<Fault> fault;
};

// A machine on disk is to become durable where it stands.
struct SyncRequest {
  uint64_t generation = 0;
};
struct Synced {
  uint64_t generation = 0;
  raft::LogPoint point;
  std::optional<Fault> fault;  // not now: it goes on as before
};

// Load the received snapshot at `point` into a fresh machine; the old one stays until Installed has
// been answered with the next request of the new generation.
struct InstallRequest {
  uint64_t generation = 0;  // the new one
  raft::LogPoint point;     // index 0: begin anew with an empty machine and the first entry
  raft::Configuration configuration;  // at `point`
  bool kept = false;  // a machine on disk goes back to what it has kept, which is at `point`
};
struct InstallEnd {
  uint64_t generation = 0;
  raft::LogPoint point;  // where the machine stands
  std::optional<Fault> fault;
  int64_t logTimeUs = 0;  // there
  int64_t nextTimerUs = kNoTimer;
  std::optional<raft::LogPoint> durable;  // as Applied's
};

// One replica's applier, reached by message: requests are done in order, one worker at a time, and
// answered with Applied, Queried, SnapshotSaved, Synced and InstallEnd to the group.
//
// Owner:  runtime; outlives the Group.
// Thread: the group's loop.
// Errors: in the answers. Answers of another generation are dropped by Group.
class Machines {
public:
  virtual ~Machines() = default;
  virtual void apply(ApplyRequest request) = 0;
  virtual void query(QueryRequest request) = 0;
  virtual void snapshot(SnapshotRequest request) = 0;
  virtual void sync(SyncRequest request) = 0;  // asked of machines on disk only
  virtual void install(InstallRequest request) = 0;
  // Nothing more is asked for a while: memory that is kept for the next request may go. Not
  // answered.
  virtual void rest() = 0;
  // What was to give way is waited for now. Not answered.
  virtual void hurry() {}
};

// ---- time ------------------------------------------------------------------------------------

// Thread: the group's loop. Errors: none. Time: microseconds.
class Clock {
public:
  virtual ~Clock() = default;
  virtual int64_t monotonicUs() const = 0;  // never goes back; from any start
  virtual int64_t wallUs() const = 0;       // since 1970, may jump
};

}  // namespace flotilla::group

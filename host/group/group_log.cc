// The log's side of a group: what a step wants done, entries' bytes, peers.
#include <algorithm>
#include <utility>

#include "host/base/assert.h"
#include "host/group/entry.h"
#include "host/group/group.h"

namespace flotilla::group {

// ---- events ------------------------------------------------------------------------------------

void Group::receive(PeerMessage message) {
  if (message.group != options_.key.group || message.incarnation != options_.incarnation) return;
  const raft::Message& head = message.message;
  if (logFault_ || head.to != core_.self() || head.from == core_.self()) return;
  // A snapshot comes by its file; what a mute replica promised it may have forgotten.
  if (head.kind == raft::MessageKind::snapshot) return;
  if (head.kind == raft::MessageKind::digest) return onDigest(head);
  if (head.kind == raft::MessageKind::digestVerdict) return onDigestVerdict(head);
  if (head.kind == raft::MessageKind::snapshotAsk) return onSnapshotAsk(head);
  bool votes = head.kind == raft::MessageKind::vote || head.kind == raft::MessageKind::preVote;
  bool asked = head.kind == raft::MessageKind::timeoutNow;  // to lead
  if (isMute() && (votes || asked)) return;
  if (volumeFull_ && asked) return;  // nor could we
  int64_t lastTimeUs = 0;
  if (head.kind == raft::MessageKind::append && !head.runs.empty()) {
    if (logIsFull()) return makeRoom();
    if (volumeFull_ || !takeEntries(message, lastTimeUs)) return;
  } else {
    message.entries.clear();
  }
  uint64_t bytes = 0;
  for (const LogEntry& entry : message.entries) bytes += entry.payload.size();
  bool leads = head.kind == raft::MessageKind::append || head.kind == raft::MessageKind::heartbeat;
  raft::ReplicaId from = head.from;
  raft::Term term = head.term;
  step(raft::Receive{std::move(message.message), bytes});
  if (leads && core_.leader() == from && core_.term() == term) {
    heardUs_ = std::max<int64_t>(ports_.clock.monotonicUs(), 1);
  }
  carryOut({&message.entries, {}, lastTimeUs});
}

// Holds an append's bytes against what its message says of them. False: they do not fit together.
bool Group::takeEntries(PeerMessage& message, int64_t& lastTimeUs) {
  const raft::Message& append = message.message;
  if (append.lastOfRuns() <= append.after.index) return false;
  if (message.entries.size() != append.lastOfRuns() - append.after.index) return false;
  if (!matchesRuns(message.entries, append)) return false;
  auto configuration = append.configurations.begin();
  EntryGlance glance;
  for (const LogEntry& entry : message.entries) {
    if (!glanceAtEntry(entry.payload.view(), glance)) return false;
    lastTimeUs = glance.timeUs;
    if (!glance.isConfiguration) continue;
    raft::ConfigurationAt inEntry{entry.index, glance.configuration};
    if (configuration == append.configurations.end() || !(*configuration == inEntry)) return false;
    ++configuration;
  }
  return configuration == append.configurations.end();
}

void Group::persisted(raft::WriteId write) {
  if (logFault_ || write > lastWrite_) return;
  auto under = namings_.begin();
  for (; under != namings_.end() && under->write <= write; ++under) {
    snapshotOnDisk_ = under->snapshot;
    generationOnDisk_ = under->generation;
  }
  namings_.erase(namings_.begin(), under);
  persisted_ = std::max(persisted_, write);
  take(raft::Persisted{write});
}

void Group::unreachable(raft::ReplicaId peer) {
  if (logFault_) return;
  appends_.dropPeer(peer);
  take(raft::Unreachable{peer});
}

void Group::snapshotReceived(raft::Message head) {
  if (logFault_ || head.kind != raft::MessageKind::snapshot) return;
  if (head.to != core_.self() || head.from == core_.self()) return;
  if (head.force) return onAskedSnapshot(head);
  if (!takesSnapshots()) return;
  take(raft::Receive{std::move(head)});
}

void Group::snapshotSent(raft::SnapshotSent sent) {
  sendingTo_.erase(sent.to);
  if (!logFault_) take(sent);
}

void Group::fetched(Fetched fetched) {
  if (logFault_) return;
  if (fetched.id == applyFetch_) {
    fetchedForApply(std::move(fetched));
    return;
  }
  if (!appends_.waitsFor(fetched.id)) return;
  if (!fetched.entries) {
    appends_.drop(fetched.id);
    // Appends pin what they name, so it cannot have been compacted meanwhile; it can have been cut
    // off, where we do not lead any more.
    bool damaged = fetched.entries.fault().code == ErrorCode::corrupt ||
                   fetched.entries.fault().code == ErrorCode::io;
    if (damaged && leads()) stopForLog(fetched.entries.fault());
    return;
  }
  auto filled = appends_.fetched(fetched.id, std::move(fetched.entries).value(), core_);
  if (filled) send(std::move(filled->message), std::move(filled->entries));
  sendAppends();
}

// ---- a step's effects --------------------------------------------------------------------------

// Until its effects are carried out nobody else may step who shares the room.
void Group::step(const raft::Input& input) {
  ASSERT(!ports_.steps.taken);
  ports_.steps.taken = true;
  effects_.clear();
  if (options_.core.leaseReads && options_.tickUs != 0) mindLateTicks();
  core_.pass(ticksToTell());
  core_.step(input, effects_);
}

void Group::take(const raft::Input& input) {
  step(input);
  carryOut({});
}

// Carries out effects_. The write comes first only because an append is filled from it.
void Group::carryOut(const Brought& brought) {
  if (effects_.write) write(*effects_.write, brought);
  for (raft::Message& message : effects_.sends) {
    if (message.kind == raft::MessageKind::appendReply) message.force = listens_;
    if (message.kind != raft::MessageKind::append) {
      send(std::move(message), {});
    } else if (message.runs.empty()) {
      if (!appends_.waitsToSend(message.to)) send(std::move(message), {});
    } else if (auto entries = appends_.fill(message, tail_)) {
      send(std::move(message), std::move(*entries));
    }
  }
  if (appends_.any()) sendAppends();
  if (!effects_.reads.empty()) {
    Outcome refusal = notLeader();
    for (const raft::ReadReady& read : effects_.reads) questions_.ready(read, refusal);
  }
  for (const raft::SnapshotWanted& wanted : effects_.snapshots) sendSnapshot(wanted.to);
  if (effects_.install) {
    startInstall(effects_.install->point, effects_.install->configuration, true);
  }
  ports_.steps.taken = false;
  feed();
}

void Group::write(const raft::Write& write, const Brought& brought) {
  DiskWrite out;
  out.id = write.id;
  out.reset = write.reset;
  if (write.reset) {
    tail_.clear();
    logBytes_ = 0;
  }
  if (write.first <= write.last) {
    out.entries.reserve(write.last - write.first + 1);
    for (raft::Index index = write.first; index <= write.last; ++index) {
      out.entries.push_back(entryAt(index, brought));
      logBytes_ += out.entries.back().payload.size();
    }
    tail_.append(out.entries, wantedAbove());
    bool heard = brought.entries != nullptr && !brought.entries->empty();
    if (heard) hearTime(brought.lastTimeUs, write.first <= logEnd_);
  }
  logEnd_ = core_.shape().lastIndex();
  out.state = {write.hard, core_.shape(), snapshot_, generation_, logTime_.newestUs()};
  lastWrite_ = write.id;
  nameSnapshot(write.id);
  ports_.disk.write(options_.key, std::move(out));
}

// Of what another leader has put at the log's end, perhaps in place of entries of ours.
void Group::hearTime(int64_t timeUs, bool rewritten) {
  if (rewritten) {
    logTime_.rewritten(timeUs, ports_.clock.monotonicUs());
  } else {
    logTime_.heard(timeUs, ports_.clock.monotonicUs());
  }
}

void Group::nameSnapshot(raft::WriteId write) {
  raft::Index named = namings_.empty() ? snapshotOnDisk_ : namings_.back().snapshot;
  uint64_t generation = namings_.empty() ? generationOnDisk_ : namings_.back().generation;
  if (named != snapshot_.index || generation != generation_) {
    namings_.push_back({write, snapshot_.index, generation_});
  }
}

LogEntry Group::entryAt(raft::Index index, const Brought& brought) {
  for (const raft::MadeEntry& made : effects_.made) {
    if (made.index != index) continue;
    int64_t timeUs = logTime_.stamp(now());
    return {index, made.term,
            made.kind == raft::MadeEntry::Kind::noOp
                ? encodeNoOp(timeUs)
                : encodeConfiguration(timeUs, made.configuration)};
  }
  for (const raft::Accepted& accepted : effects_.accepted) {
    if (accepted.point.index == index) return {index, accepted.point.term, brought.payload};
  }
  ASSERT(brought.entries != nullptr);
  ASSERT(!brought.entries->empty());
  ASSERT(index >= brought.entries->front().index);
  ASSERT(index <= brought.entries->back().index);
  return (*brought.entries)[index - brought.entries->front().index];
}

void Group::send(raft::Message message, std::vector<LogEntry> entries) {
  ports_.outbox.send(
      {options_.key.group, options_.incarnation, std::move(message), std::move(entries)});
}

// Sends what memory can fill by now and asks the disk for the rest.
void Group::sendAppends() {
  while (auto filled = appends_.nextFromMemory(tail_)) {
    if (core_.leads(filled->message.term)) {
      send(std::move(filled->message), std::move(filled->entries));
    }
  }
  while (auto next = appends_.nextToFetch()) {
    uint64_t fetch = ++lastFetch_;
    appends_.fetching(fetch);
    bool held = next->after.index >= core_.shape().base().index &&
                next->lastOfRuns() <= core_.shape().lastIndex();
    if (!held || !core_.leads(next->term)) {
      appends_.drop(fetch);
      continue;
    }
    ports_.disk.fetch(options_.key,
                      {fetch, next->after.index, next->lastOfRuns(), options_.core.appendBytesMax});
  }
}

void Group::sendSnapshot(raft::ReplicaId to) {
  // What lies here is of a machine that is not believed: it waits until another leads.
  bool unsound = rebuilding_ || quarantinedAt_ != 0;
  if (unsound || !hasSnapshot()) {
    snapshotWanted_.push_back(to);
    startSnapshot();
    return;
  }
  followUps_[to] = snapshot_.index;
  sendingTo_[to] = ports_.ticks;
  ports_.outbox.sendSnapshot(options_.key, snapshotHead(to));
}

raft::Message Group::snapshotHead(raft::ReplicaId to) const {
  raft::Message head = messageTo(to, raft::MessageKind::snapshot);
  head.after = snapshot_;
  head.configurations.push_back(
      {snapshot_.index, core_.shape().configurationAt(snapshot_.index).configuration});
  return head;
}

// The log cannot be read: this replica does not know any more what it promised, so it falls silent.
void Group::stopForLog(Fault fault) {
  logFault_ = true;
  fault_ = std::move(fault);
  faultAt_ = {feed_.applied() + 1, 0};
  tail_.forget();
  Outcome outcome = *refusalOfCalls();
  failCalls(outcome, outcome);
  answerSnapshotCallers(outcome);
  answerSyncCallers(outcome);
}

bool Group::isMute() const {
  return muteBelow_ > core_.commit();
}

}  // namespace flotilla::group

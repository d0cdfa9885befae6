// Raft's values in words.
#include "host/raft/describe.h"

#include <vector>

#include "host/base/match.h"

namespace flotilla::raft {

namespace {

std::string text(uint64_t number) {
  return std::to_string(number);
}

std::string list(const std::vector<ReplicaId>& replicas) {
  std::string out = "(";
  for (ReplicaId replica : replicas) out += (out.size() > 1 ? " " : "") + text(replica);
  return out + ")";
}

std::string list(const std::vector<TermRun>& runs) {
  std::string out;
  for (const TermRun& run : runs) {
    out += (out.empty() ? "" : ",") + describe(LogPoint{run.last, run.term});
  }
  return out;
}

std::string list(const std::vector<ConfigurationAt>& configurations) {
  std::string out;
  for (const ConfigurationAt& at : configurations) {
    out += " conf=" + text(at.index) + ":" + describe(at.configuration);
  }
  return out;
}

std::string round(uint64_t context) {
  return text(context >> 16) + "." + text(context & 0xffff);
}

std::string answer(bool granted) {
  return granted ? " yes" : " no";
}

std::string describeAppend(const Message& it) {
  std::string out = "append after=" + describe(it.after);
  if (!it.runs.empty()) out += " to=" + list(it.runs);
  return out + " commit=" + text(it.commit) + list(it.configurations);
}

std::string describeAppendReply(const Message& it) {
  std::string listens = it.force ? " listens" : "";
  if (it.granted) return "appendReply match=" + text(it.index) + listens;
  return "appendReply refused=" + text(it.index) + " hint=" + describe(it.hint) + listens;
}

std::string describeBody(const Message& it) {
  switch (it.kind) {
    case MessageKind::preVote:
      return "preVote? last=" + describe(it.last);
    case MessageKind::preVoteReply:
      return "preVoteReply" + answer(it.granted);
    case MessageKind::vote:
      return "vote? last=" + describe(it.last) + (it.force ? " force" : "");
    case MessageKind::voteReply:
      return "voteReply" + answer(it.granted);
    case MessageKind::append:
      return describeAppend(it);
    case MessageKind::appendReply:
      return describeAppendReply(it);
    case MessageKind::heartbeat:
      return "heartbeat commit=" + text(it.commit) + " round=" + round(it.context) +
             (it.granted ? " rest?" : "") + (it.force ? " sleep" : "");
    case MessageKind::heartbeatReply:
      return "heartbeatReply round=" + round(it.context) + " last=" + text(it.index) +
             (it.granted ? " rests" : "");
    case MessageKind::snapshot:
      return "snapshot at=" + describe(it.after) + list(it.configurations);
    case MessageKind::timeoutNow:
      return "timeoutNow";
    case MessageKind::readIndex:
      return "readIndex context=" + text(it.context);
    case MessageKind::readIndexReply:
      return "readIndexReply context=" + text(it.context) + " index=" + text(it.index) +
             answer(it.granted);
    case MessageKind::removed:
      return "removed";
    case MessageKind::wake:
      return "wake";
    case MessageKind::digest:
      return "digest at=" + text(it.index) + " is=" + text(it.context);
    case MessageKind::digestVerdict:
      return "digestVerdict at=" + text(it.index) + " is=" + text(it.context) + answer(it.granted);
    case MessageKind::snapshotAsk:
      return "snapshotAsk from=" + text(it.index);
  }
  return "kind " + text(static_cast<uint64_t>(it.kind));
}

std::string describe(const Write& write) {
  std::string out = "write #" + text(write.id) + " term=" + text(write.hard.term) +
                    " vote=" + text(write.hard.vote) + " commit=" + text(write.hard.commit);
  if (write.first <= write.last)
    out += " log=[" + text(write.first) + ".." + text(write.last) + "]";
  return write.reset ? out + " reset" : out;
}

std::string describe(const MadeEntry& made) {
  std::string out = "made " + describe(LogPoint{made.index, made.term});
  if (made.kind == MadeEntry::Kind::noOp) return out + " noOp";
  return out + " conf=" + describe(made.configuration);
}

std::string describe(const Refused& refused) {
  std::string out = "refused " + text(refused.proposal) + " " + describe(refused.why);
  return refused.leader == 0 ? out : out + " leader=" + text(refused.leader);
}

std::string describe(const ReadReady& read) {
  return "read " + text(read.read) + (read.ok ? " index=" + text(read.index) : " failed");
}

}  // namespace

std::string describe(Role role) {
  switch (role) {
    case Role::follower:
      return "follower";
    case Role::preCandidate:
      return "preCandidate";
    case Role::candidate:
      return "candidate";
    case Role::leader:
      return "leader";
  }
  return "?";
}

std::string describe(const LogPoint& point) {
  return text(point.index) + "@" + text(point.term);
}

std::string describe(const Configuration& configuration) {
  std::string out = list(configuration.voters);
  if (configuration.joint()) out += " outgoing=" + list(configuration.outgoing);
  if (!configuration.learners.empty()) out += " learners=" + list(configuration.learners);
  if (!configuration.learnersNext.empty()) out += " next=" + list(configuration.learnersNext);
  return configuration.autoLeave ? out + " autoLeave" : out;
}

std::string describe(const Message& message) {
  return "n" + text(message.from) + "->n" + text(message.to) + " t" + text(message.term) + " " +
         describeBody(message);
}

std::string describe(const Input& input) {
  return std::visit(
      base::Match{
          [](const Tick& it) -> std::string {
            std::string passed = it.passed == 1 ? "" : " passed=" + text(it.passed);
            return (it.busy ? "tick busy" : "tick") + passed;
          },
          [](const Receive& it) { return "receive " + describe(it.message); },
          [](const Propose& it) {
            return "propose " + text(it.proposal) + " bytes=" + text(it.bytes);
          },
          [](const ProposeConfiguration& it) {
            return "configure " + text(it.proposal) + " voters=" + list(it.voters) +
                   " learners=" + list(it.learners);
          },
          [](const Persisted& it) { return "persisted #" + text(it.write); },
          [](const Read& it) { return "read " + text(it.read); },
          [](const Transfer& it) { return "transfer to=" + text(it.to); },
          [](const Compact& it) {
            return "compact at=" + describe(it.point) + " keepAfter=" + text(it.keepAfter);
          },
          [](const Installed& it) { return "installed " + describe(it.point) + answer(it.ok); },
          [](const SnapshotSent& it) {
            return "snapshotSent to=" + text(it.to) + " at=" + describe(it.point) + answer(it.ok);
          },
          [](const Unreachable& it) { return "unreachable " + text(it.peer); },
          [](const Wake& it) {
            return std::string("wake") + (it.leaderGone ? " leaderGone" : "") +
                   (it.first ? " first" : "");
          },
          [](const Campaign&) -> std::string { return "campaign"; },
      },
      input);
}

std::string describe(RefusedWhy why) {
  switch (why) {
    case RefusedWhy::notLeader:
      return "notLeader";
    case RefusedWhy::transferring:
      return "transferring";
    case RefusedWhy::full:
      return "full";
    case RefusedWhy::changing:
      return "changing";
    case RefusedWhy::notCaughtUp:
      return "notCaughtUp";
    case RefusedWhy::noChange:
      return "noChange";
    case RefusedWhy::notMember:
      return "notMember";
  }
  return "?";
}

std::string describe(const LogShape& shape) {
  std::string out = describe(shape.base()) + " |";
  if (!shape.allRuns().empty()) out += " " + list(shape.allRuns());
  return out + list(shape.configurations());
}

std::string describe(const Effects& effects) {
  std::string out;
  if (effects.write) out += describe(*effects.write) + "\n";
  for (const MadeEntry& made : effects.made) out += describe(made) + "\n";
  for (const Accepted& accepted : effects.accepted) {
    out += "accepted " + text(accepted.proposal) + " at=" + describe(accepted.point) + "\n";
  }
  for (const Refused& refused : effects.refused) out += describe(refused) + "\n";
  for (const Message& message : effects.sends) out += "send " + describe(message) + "\n";
  for (const ReadReady& read : effects.reads) out += describe(read) + "\n";
  for (const SnapshotWanted& wanted : effects.snapshots) {
    out += "snapshotWanted to=" + text(wanted.to) + "\n";
  }
  if (effects.install) {
    out += "install " + describe(effects.install->point) + " " +
           describe(effects.install->configuration) + " from=" + text(effects.install->from) + "\n";
  }
  return out;
}

}  // namespace flotilla::raft

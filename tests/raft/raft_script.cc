// The words of tests/raft/scripts.
#include "tests/raft/raft_script.h"

#include <algorithm>
#include <optional>
#include <sstream>
#include <vector>

#include <doctest/doctest.h>

#include "host/raft/describe.h"

namespace flotilla::test {

namespace {

constexpr int kSettleMax = 20000;  // steps until a script counts as one that never comes to rest

raft::LogPoint pointOf(const std::string& text) {
  if (text.empty()) return {};
  size_t at = text.find('@');
  REQUIRE_MESSAGE(at != std::string::npos, "script: \"" << text << "\" is not INDEX@TERM");
  return {std::stoull(text.substr(0, at)), std::stoull(text.substr(at + 1))};
}

std::string kindOf(const raft::Message& message) {
  std::istringstream in(raft::describe(message));
  std::string word;
  in >> word >> word >> word;
  if (!word.empty() && word.back() == '?') word.pop_back();
  return word;
}

raft::Configuration configurationOf(const Command& command) {
  raft::Configuration configuration;
  configuration.voters = command.numbers("voters");
  configuration.outgoing = command.numbers("outgoing");
  configuration.learners = command.numbers("learners");
  configuration.learnersNext = command.numbers("next");
  configuration.autoLeave = configuration.joint();
  return configuration;
}

}  // namespace

RaftScript::RaftScript() {
  addInputWords();
  addWorldWords();
}

std::string RaftScript::run(const Command& command) {
  out_.clear();
  auto word = words_.find(command.verb);
  REQUIRE_MESSAGE(word != words_.end(), "script: \"" << command.line << "\": no such word");
  word->second(command);
  showChanges();
  return out_;
}

void RaftScript::addCore(const Command& command, raft::ReplicaId self) {
  raft::CoreConfig config;
  config.self = self;
  config.seed = command.number("seed", 1);
  config.electionTicks = static_cast<uint32_t>(command.number("electionTicks", 10));
  config.heartbeatTicks = static_cast<uint32_t>(command.number("heartbeatTicks", 1));
  config.appendEntriesMax = static_cast<uint32_t>(command.number("appendEntriesMax", 256));
  config.appendBytesMax = command.number("appendBytesMax", 1 << 20);
  config.inflightMax = static_cast<uint32_t>(command.number("inflightMax", 1024));
  config.inflightBytesMax = command.number("inflightBytesMax", 16 << 20);
  config.uncommittedBytesMax = command.number("uncommittedBytesMax", 64 << 20);
  config.promotionLagMax = static_cast<uint32_t>(command.number("promotionLagMax", 256));
  config.leaseLateTicks =
      static_cast<uint32_t>(command.number("leaseLateTicks", config.leaseLateTicks));
  config.sleepTicks = static_cast<uint32_t>(command.number("sleepTicks"));
  config.patienceTicks = static_cast<uint32_t>(command.number("patienceTicks"));
  config.priority = static_cast<uint32_t>(command.number("priority", 100));
  config.preVote = command.value("preVote") != "off";
  config.checkQuorum = command.value("checkQuorum") != "off";
  config.leaseReads = command.has("leaseReads");
  config.lazyCommit = command.has("lazyCommit");
  config.quietTicks = static_cast<uint32_t>(command.number("quietTicks", config.quietTicks));
  config.settledTicks = static_cast<uint32_t>(command.number("settledTicks", config.settledTicks));
  raft::LogPoint base = pointOf(command.value("base"));
  raft::LogShape shape(base, configurationOf(command));
  for (raft::Term term : command.numbers("log")) shape.append(shape.lastIndex() + 1, term);
  raft::HardState hard{command.number("term", shape.lastTerm()), command.number("vote"),
                       command.number("commit", base.index)};
  fleet_.add(config, hard, std::move(shape));
}

void RaftScript::addInputWords() {
  words_["tick"] = [this](const Command& it) {
    for (uint64_t i = it.number("times", 1); i > 0; --i) {
      take(it.word(0), raft::Tick{it.has("busy")});
    }
  };
  words_["wake"] = [this](const Command& it) {
    take(it.word(0), raft::Wake{it.has("leaderGone"), it.has("first")});
  };
  words_["doubt"] = [this](const Command& it) { fleet_.doubtLease(it.word(0)); };
  words_["campaign"] = [this](const Command& it) { take(it.word(0), raft::Campaign{}); };
  words_["propose"] = [this](const Command& it) {
    take(it.word(0), raft::Propose{it.number("id", 1), it.number("bytes", 100)});
  };
  words_["configure"] = [this](const Command& it) {
    take(it.word(0), raft::ProposeConfiguration{it.number("id", 1), it.numbers("voters"),
                                                it.numbers("learners")});
  };
  words_["read"] = [this](const Command& it) { take(it.word(0), raft::Read{it.number("id", 1)}); };
  words_["transfer"] = [this](const Command& it) {
    take(it.word(0), raft::Transfer{it.number("to")});
  };
  words_["unreachable"] = [this](const Command& it) {
    take(it.word(0), raft::Unreachable{it.number("peer")});
  };
  words_["sent"] = [this](const Command& it) {
    take(it.word(0), raft::SnapshotSent{it.number("to"), pointOf(it.value("at")), !it.has("no")});
  };
  words_["installed"] = [this](const Command& it) {
    FleetReplica& replica = fleet_.at(it.word(0));
    raft::LogPoint point = pointOf(it.value("at"));
    if (point.index == 0) {
      REQUIRE_MESSAGE(replica.installing, "script: nothing is being installed");
      point = replica.installing->point;
    }
    if (replica.installing && replica.installing->point == point) replica.installing.reset();
    take(it.word(0), raft::Installed{point, !it.has("no")});
  };
  words_["receive"] = [this](const Command& it) {
    take(it.word(0), raft::Receive{forged(it), it.number("bytes")});
  };
}

void RaftScript::addWorldWords() {
  words_["core"] = [this](const Command& it) {
    addCore(it, it.word(0));
    auto_ = it.value("disk", "hand") == "auto";
  };
  words_["cores"] = [this](const Command& it) {
    for (size_t i = 0; i < it.words.size() && isdigit(it.words[i][0]) != 0; ++i) {
      addCore(it, it.word(i));
    }
    auto_ = it.value("disk", "auto") == "auto";
  };
  words_["persisted"] = [this](const Command& it) {
    show(it.word(0), fleet_.persist(it.word(0), it.number("write")));
  };
  words_["crash"] = [this](const Command& it) { fleet_.crash(it.word(0)); };
  words_["compact"] = [this](const Command& it) {
    fleet_.compact(it.word(0), it.number("to"));
    persistAll(it.word(0));
    showState(it.word(0));
  };
  words_["state"] = [this](const Command& it) {
    for (const auto& [id, replica] : fleet_.all()) {
      if (it.words.empty() || it.word(0) == id) showState(id);
    }
  };
  words_["pool"] = [this](const Command&) {
    for (const raft::Message& message : fleet_.pool()) out_ += raft::describe(message) + "\n";
  };
  words_["deliver"] = [this](const Command& it) { deliver(it, false, false); };
  words_["repeat"] = [this](const Command& it) { deliver(it, true, false); };
  words_["drop"] = [this](const Command& it) { deliver(it, false, true); };
  words_["cut"] = [this](const Command& it) {
    cuts_.insert({it.word(0), it.word(1)});
    cuts_.insert({it.word(1), it.word(0)});
  };
  words_["heal"] = [this](const Command&) { cuts_.clear(); };
  words_["stabilize"] = [this](const Command&) { settle(); };
  words_["time"] = [this](const Command& it) {
    sent_.clear();
    for (uint64_t i = it.number("ticks", 1); i > 0; --i) {
      quiet_ = true;
      for (const auto& [id, replica] : fleet_.all()) take(id, raft::Tick{});
      settle();
    }
    if (it.has("count")) {
      out_ += it.value("count") + ": " + std::to_string(sent_[it.value("count")]) + "\n";
    }
  };
}

void RaftScript::take(raft::ReplicaId replica, const raft::Input& input) {
  show(replica, fleet_.step(replica, input));
  if (auto_) persistAll(replica);
}

void RaftScript::persistAll(raft::ReplicaId replica) {
  while (!fleet_.at(replica).pending.empty()) show(replica, fleet_.persist(replica));
}

void RaftScript::show(raft::ReplicaId replica, const raft::Effects& effects) {
  for (const raft::Message& message : effects.sends) ++sent_[kindOf(message)];
  std::istringstream in(raft::describe(effects));
  for (std::string line; std::getline(in, line);) {
    if (auto_ && line.rfind("write ", 0) == 0) continue;
    if (quiet_ && line.rfind("read ", 0) != 0) continue;
    bool named = line.rfind("send ", 0) == 0 || fleet_.all().size() == 1;
    out_ += (named ? "" : "n" + std::to_string(replica) + " ") + line + "\n";
  }
}

std::string RaftScript::status(raft::ReplicaId replica) const {
  const raft::Core& core = *fleet_.all().at(replica).core;
  std::string out =
      "n" + std::to_string(replica) + " " + raft::describe(core.role()) + " t" +
      std::to_string(core.term()) + " vote=" + std::to_string(core.hard().vote) +
      " leader=" + std::to_string(core.leader()) + " commit=" + std::to_string(core.commit()) +
      " apply=" + std::to_string(core.applicable()) +
      " last=" + raft::describe(core.shape().last()) + (core.asleep() ? " asleep" : "");
  return out;
}

void RaftScript::showChanges() {
  quiet_ = false;
  for (const auto& [id, replica] : fleet_.all()) {
    std::string now = status(id);
    std::string& shown = shown_[id];
    if (now != shown) out_ += now + "\n";
    shown = now;
  }
}

void RaftScript::showState(raft::ReplicaId replica) {
  const raft::Core& core = *fleet_.at(replica).core;
  std::string name = "n" + std::to_string(replica);
  out_ += name + " log " + raft::describe(core.shape()) + "\n";
  for (const raft::PeerProgress& peer : core.progress()) {
    const char* const states[] = {"probe", "replicate", "snapshot"};
    out_ += name + " n" + std::to_string(peer.replica) + " match=" + std::to_string(peer.match) +
            " next=" + std::to_string(peer.next) + " " + states[static_cast<size_t>(peer.state)] +
            "\n";
  }
}

bool RaftScript::crossesCut(const raft::Message& message) const {
  return cuts_.count({message.from, message.to}) != 0 || fleet_.all().count(message.to) == 0;
}

void RaftScript::deliver(const Command& command, bool keep, bool lose) {
  std::vector<raft::Message>& pool = fleet_.pool();
  std::vector<raft::Message> chosen;
  std::vector<raft::Message> rest;
  uint64_t left = command.number("count", pool.size());
  for (const raft::Message& message : pool) {
    bool wanted = (!command.has("from") || command.number("from") == message.from) &&
                  (!command.has("to") || command.number("to") == message.to) &&
                  (!command.has("kind") || command.value("kind") == kindOf(message)) && left > 0;
    if (wanted) --left;
    (wanted ? chosen : rest).push_back(message);
  }
  if (!keep) pool = rest;
  if (command.has("backwards")) std::reverse(chosen.begin(), chosen.end());
  for (const raft::Message& message : chosen) {
    bool lost = lose || crossesCut(message);
    out_ += (lost ? "lost " : "receive ") + raft::describe(message) + "\n";
    if (!lost) take(message.to, raft::Receive{message});
  }
}

// True where something happened.
bool RaftScript::settleOnce() {
  for (const auto& [id, replica] : fleet_.all()) {
    if (!replica.pending.empty()) {
      show(id, fleet_.persist(id));
      return true;
    }
    if (replica.installing) {
      raft::LogPoint point = replica.installing->point;
      fleet_.at(id).installing.reset();
      take(id, raft::Installed{point, true});
      return true;
    }
    if (std::optional<raft::Message> snapshot = fleet_.takeSnapshotMessage(id)) {
      bool lost = crossesCut(*snapshot);
      if (!lost) take(snapshot->to, raft::Receive{*snapshot});
      take(id, raft::SnapshotSent{snapshot->to, snapshot->after, !lost});
      return true;
    }
  }
  std::vector<raft::Message>& pool = fleet_.pool();
  if (pool.empty()) return false;
  raft::Message first = pool.front();
  pool.erase(pool.begin());
  if (!crossesCut(first)) take(first.to, raft::Receive{first});
  return true;
}

void RaftScript::settle() {
  quiet_ = true;
  int steps = 0;
  while (settleOnce()) REQUIRE_MESSAGE(++steps < kSettleMax, "script: never comes to rest");
}

raft::Message RaftScript::forged(const Command& command) const {
  raft::Message message;
  REQUIRE_MESSAGE(command.words.size() >= 2, "script: receive N KIND …");
  bool known = false;
  for (uint8_t kind = 0; kind <= static_cast<uint8_t>(raft::kLastMessageKind); ++kind) {
    message.kind = static_cast<raft::MessageKind>(kind);
    known = kindOf(message) == command.words[1];
    if (known) break;
  }
  REQUIRE_MESSAGE(known, "script: \"" << command.words[1] << "\" is no kind of message");
  message.to = command.word(0);
  message.from = command.number("from");
  message.term = command.number("term");
  message.after = pointOf(command.value("after"));
  message.last = pointOf(command.value("last"));
  message.hint = pointOf(command.value("hint"));
  message.commit = command.number("commit");
  message.index = command.number("index");
  message.context = command.number("context");
  message.granted = command.has("granted");
  message.force = command.has("force");
  std::istringstream runs(command.value("to"));
  for (std::string run; std::getline(runs, run, ',');) {
    raft::LogPoint last = pointOf(run);
    message.runs.push_back({last.index, last.term});
  }
  if (command.has("voters")) {
    message.configurations.push_back({command.number("at"), configurationOf(command)});
  }
  return message;
}

}  // namespace flotilla::test

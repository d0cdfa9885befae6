// Holds our core against histories of etcd's Raft, kept outside this tree. By hand:
//
//   build/release/tests/raft-scenarios FOLDER [tests/raft/scenario_waivers.txt]
//
// The folder's README says what its words mean. Where our semantics differ on purpose, the fact's
// place (FILE:LINE) stands in the waivers with the reason; one that nothing needs any more is an
// error too.
#include <algorithm>
#include <cctype>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#define DOCTEST_CONFIG_IMPLEMENT
#include <doctest/doctest.h>

#include "host/raft/describe.h"
#include "tests/raft/fleet.h"

namespace flotilla::test {
namespace {

using raft::ReplicaId;

constexpr int kSettleMax = 2000;

std::vector<uint64_t> numbersIn(const std::string& text) {
  std::vector<uint64_t> numbers;
  for (size_t i = 0; i < text.size();) {
    if (std::isdigit(static_cast<unsigned char>(text[i])) == 0) {
      ++i;
      continue;
    }
    size_t used = 0;
    numbers.push_back(std::stoull(text.substr(i), &used));
    i += used;
  }
  return numbers;
}

// What stands after "name=", up to a blank that is in no bracket.
std::string valueOf(const std::string& line, const std::string& name) {
  size_t at = line.find(" " + name + "=");
  if (at == std::string::npos) return "";
  at += name.size() + 2;
  size_t end = line[at] == '(' ? line.find(')', at) : line[at] == '[' ? line.find(']', at) : at;
  return line.substr(at, line.find(' ', end) - at);
}

// etcd's words for our messages.
std::string kindOf(raft::MessageKind kind) {
  using Kind = raft::MessageKind;
  static const std::map<Kind, std::string> names = {
      {Kind::preVote, "PreVote"},     {Kind::preVoteReply, "PreVoteResp"},
      {Kind::vote, "Vote"},           {Kind::voteReply, "VoteResp"},
      {Kind::append, "App"},          {Kind::appendReply, "AppResp"},
      {Kind::heartbeat, "Heartbeat"}, {Kind::heartbeatReply, "HeartbeatResp"},
      {Kind::snapshot, "Snap"},       {Kind::timeoutNow, "TimeoutNow"},
      {Kind::readIndex, "ReadIndex"}, {Kind::readIndexReply, "ReadIndexResp"},
  };
  auto found = names.find(kind);
  return found == names.end() ? "other" : found->second;
}

// Cores whose messages wait with their sender until it is "ready", as etcd's do.
class History {
public:
  void run(const std::string& command) {
    std::istringstream in(command);
    std::string verb;
    in >> verb;
    std::string rest;
    std::getline(in, rest);
    std::vector<uint64_t> ids = numbersIn(rest);
    if (verb == "add-nodes") return addNodes(ids.front(), rest);
    if (verb == "stabilize") return stabilize(ids);
    if (verb == "process-ready") {
      for (ReplicaId id : ids) ready(id);
    } else if (verb == "process-append-thread") {
      for (ReplicaId id : ids) writeEnds(id);
    } else if (verb == "process-apply-thread") {
      // Applying is no part of our core: it says what may be applied.
    } else if (verb == "deliver-msgs") {
      bool drop = rest.find("drop=") != std::string::npos;
      for (ReplicaId id : ids) deliver(id, drop);
    } else if (verb == "compact") {
      fleet_.compact(ids[0], ids[1]);
    } else {
      step(ids.front(), inputOf(verb, rest, ids.front()));
      if (verb == "tick-election") step(ids.front(), raft::Tick{}), step(ids.front(), raft::Tick{});
    }
  }

  // What our cores say to a fact; empty where they agree.
  std::string against(const std::string& fact) {
    std::string word = fact.substr(0, 4);
    if (word == "node") return againstNode(fact);
    if (word == "log ") return againstLog(fact);
    if (word == "conf") return againstConfiguration(fact);
    if (word == "prog") return againstProgress(fact);
    return "";
  }
  // (from, to, kind) of what is on its way.
  std::set<std::string> net() const {
    std::set<std::string> all;
    for (const raft::Message& it : net_) {
      all.insert(std::to_string(it.from) + "->" + std::to_string(it.to) + " " + kindOf(it.kind));
    }
    return all;
  }

private:
  void addNodes(uint64_t count, const std::string& rest) {
    for (uint64_t i = 0; i < count; ++i) {
      raft::CoreConfig config;
      config.self = fleet_.all().size() + 1;
      config.electionTicks = 3;
      writesApart_ = valueOf(rest, "async-storage-writes") == "true";
      config.preVote = valueOf(rest, "prevote") == "true";
      config.checkQuorum = valueOf(rest, "checkquorum") == "true";
      if (!valueOf(rest, "inflight").empty()) config.inflightMax = 1;
      raft::Configuration configuration;
      configuration.voters = numbersIn(valueOf(rest, "voters"));
      std::vector<uint64_t> index = numbersIn(valueOf(rest, "index"));
      raft::LogPoint base = index.empty() ? raft::LogPoint{} : raft::LogPoint{index.front(), 1};
      fleet_.add(config, {}, raft::LogShape(base, configuration));
    }
  }

  raft::Input inputOf(const std::string& verb, const std::string& rest, ReplicaId id) {
    if (verb == "campaign") return raft::Campaign{};
    if (verb == "propose") return raft::Propose{1, 10};
    if (verb == "tick-heartbeat" || verb == "tick-election") return raft::Tick{};
    REQUIRE_MESSAGE(verb == "propose-conf-change", "scenario: \"" << verb << "\": no such word");
    raft::ProposeConfiguration propose{1, fleet_.at(id).core->configuration().voters, {}};
    std::istringstream changes(rest.substr(rest.find('|') + 1));
    for (std::string change; changes >> change;) {
      ReplicaId which = numbersIn(change).front();
      if (change[0] == 'v') propose.voters.push_back(which);
      if (change[0] == 'r') std::erase(propose.voters, which);
    }
    return propose;
  }

  void step(ReplicaId id, const raft::Input& input) {
    fleet_.step(id, input);
    gather();
  }
  void gather() {
    for (raft::Message& message : fleet_.pool()) outbox_[message.from].push_back(message);
    fleet_.pool().clear();
  }

  // With a thread that writes: the oldest write ends.
  void writeEnds(ReplicaId id) {
    if (!fleet_.at(id).pending.empty()) fleet_.persist(id, fleet_.at(id).pending.front().id);
    gather();
    leave(id);
  }
  void leave(ReplicaId id) {
    std::vector<raft::Message>& own = outbox_[id];
    net_.insert(net_.end(), own.begin(), own.end());
    own.clear();
  }

  // Writes end, a snapshot is installed, messages leave. False: there was nothing.
  bool ready(ReplicaId id) {
    bool moved = false;
    for (int i = 0; i < kSettleMax; ++i) {
      FleetReplica& replica = fleet_.at(id);
      if (replica.installing) {
        raft::LogPoint point = replica.installing->point;
        replica.installing.reset();
        step(id, raft::Installed{point, true});
      } else if (!replica.pending.empty() && !writesApart_) {
        fleet_.persist(id);
        gather();
      } else if (auto snapshot = fleet_.takeSnapshotMessage(id)) {
        outbox_[id].push_back(*snapshot);
      } else {
        break;
      }
      moved = true;
    }
    moved = moved || !outbox_[id].empty();
    leave(id);
    return moved;
  }

  bool deliver(ReplicaId to, bool drop) {
    std::vector<raft::Message> now;
    std::vector<raft::Message> later;
    for (raft::Message& it : net_) (it.to == to ? now : later).push_back(it);
    net_ = later;
    for (const raft::Message& it : now) {
      bool arrives = !drop && fleet_.all().count(to) != 0;
      if (arrives) step(to, raft::Receive{it});
      if (it.kind != raft::MessageKind::snapshot) continue;
      step(it.from, raft::SnapshotSent{it.to, it.after, arrives});
    }
    return !now.empty();
  }

  void stabilize(std::vector<uint64_t> ids) {
    if (ids.empty()) {
      for (const auto& [id, replica] : fleet_.all()) ids.push_back(id);
    }
    for (int i = 0; i < kSettleMax; ++i) {
      bool moved = false;
      for (ReplicaId id : ids) moved = ready(id) || moved;
      for (ReplicaId id : ids) moved = deliver(id, false) || moved;
      for (ReplicaId id : ids) {
        if (!writesApart_ || fleet_.at(id).pending.empty()) continue;
        writeEnds(id);
        moved = true;
      }
      if (!moved) return;
    }
    FAIL("scenario: never comes to rest");
  }

  const raft::Core& coreOf(const std::string& fact) {
    return *fleet_.at(numbersIn(fact).front()).core;
  }

  static std::string differing(const std::string& fact, const std::string& ours) {
    return fact == ours ? "" : ours;
  }

  std::string againstNode(const std::string& fact) {
    const raft::Core& core = coreOf(fact);
    std::string role = raft::describe(core.role());
    std::transform(role.begin(), role.end(), role.begin(),
                   [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    std::string ours =
        "node " + std::to_string(core.self()) + " role=" + role +
        " term=" + std::to_string(core.term()) + " vote=" + std::to_string(core.hard().vote) +
        " lead=" + std::to_string(core.leader()) + " commit=" + std::to_string(core.commit());
    // Ours says what may be applied, etcd's what has been.
    bool applies = numbersIn(valueOf(fact, "applied")).front() <= core.applicable();
    if (applies) return differing(fact.substr(0, fact.find(" applied=")), ours);
    return ours + " applied=" + std::to_string(core.applicable());
  }

  // Terms alone: the letters behind them say what etcd's entries hold.
  std::string againstLog(const std::string& fact) {
    const raft::Core& core = coreOf(fact);
    const raft::LogShape& shape = core.shape();
    std::string terms;
    std::istringstream in(valueOf(fact, "terms").substr(1));
    for (std::string term; in >> term;) {
      if (term != "]") terms += std::to_string(numbersIn(term).front()) + " ";
    }
    std::string theirs = valueOf(fact, "first") + ".." + valueOf(fact, "last") + ": " + terms;
    std::string ours =
        std::to_string(shape.firstIndex()) + ".." + std::to_string(shape.lastIndex()) + ": ";
    for (raft::Index index = shape.firstIndex(); index <= shape.lastIndex(); ++index) {
      ours += std::to_string(*shape.termAt(index)) + " ";
    }
    return differing(theirs, ours);
  }

  std::string againstConfiguration(const std::string& fact) {
    raft::Configuration theirs;
    theirs.voters = numbersIn(valueOf(fact, "voters"));
    theirs.outgoing = numbersIn(valueOf(fact, "outgoing"));
    theirs.learners = numbersIn(valueOf(fact, "learners"));
    theirs.learnersNext = numbersIn(valueOf(fact, "next"));
    raft::Configuration ours = coreOf(fact).configuration();
    ours.autoLeave = false;
    return ours == theirs ? "" : raft::describe(ours);
  }

  // What is known of each peer; its state may differ.
  std::string againstProgress(const std::string& fact) {
    std::map<uint64_t, uint64_t> theirs;
    std::istringstream in(fact.substr(6));
    for (std::string peer; in >> peer;) {
      std::vector<uint64_t> numbers = numbersIn(peer);
      if (numbers.size() >= 2) theirs[numbers[0]] = numbers[1];
    }
    std::map<uint64_t, uint64_t> ours;
    std::string told;
    for (const raft::PeerProgress& peer : coreOf(fact).progress()) {
      ours[peer.replica] = peer.match;
      told += " " + std::to_string(peer.replica) + ":match=" + std::to_string(peer.match);
    }
    return ours == theirs ? "" : "prog" + told;
  }

  Fleet fleet_;
  std::map<ReplicaId, std::vector<raft::Message>> outbox_;
  std::vector<raft::Message> net_;
  bool writesApart_ = false;
};

// One file. Counts the facts, and tells of each that differs and is not waived.
struct Tally {
  std::map<std::string, std::string> waivers;  // by FILE:LINE
  std::set<std::string> used;
  int facts = 0;
  int differ = 0;

  void differs(const std::string& place, const std::string& fact, const std::string& ours) {
    if (waivers.count(place) != 0) {
      used.insert(place);
      return;
    }
    ++differ;
    std::printf("%s: %s\n  ours: %s\n", place.c_str(), fact.c_str(), ours.c_str());
  }

  void runFile(const std::filesystem::path& path) {
    History history;
    std::ifstream in(path);
    std::set<std::string> net;
    std::string netPlace;
    auto compareNet = [&] {
      if (netPlace.empty()) return;
      std::string ours;
      for (const std::string& each : history.net()) ours += each + ", ";
      std::string theirs;
      for (const std::string& each : net) theirs += each + ", ";
      if (ours != theirs) differs(netPlace, "net " + theirs, ours);
      net.clear();
      netPlace.clear();
    };
    int number = 0;
    for (std::string line; std::getline(in, line);) {
      std::string place = path.filename().string() + ":" + std::to_string(++number);
      if (line.empty() || line[0] == '#') continue;
      if (line.rfind("> ", 0) == 0) {
        compareNet();
        history.run(line.substr(2));
        continue;
      }
      ++facts;
      if (line.rfind("net ", 0) == 0) {
        if (netPlace.empty()) netPlace = place;
        std::istringstream words(line);
        std::string word;
        std::string hop;
        std::string kind;
        words >> word >> hop >> kind;
        // What an etcd replica tells its own threads, and they it, is a message there.
        bool inside = kind.rfind("Storage", 0) == 0 ||
                      numbersIn(hop + " 0 0")[0] == numbersIn(hop + " 0 0")[1];
        if (hop != "empty" && !inside) net.insert(hop + " " + kind);
        continue;
      }
      std::string ours = history.against(line);
      if (!ours.empty()) differs(place, line, ours);
    }
    compareNet();
  }
};

int runAll(const std::string& folder, const std::string& waivers) {
  Tally tally;
  std::ifstream in(waivers);
  for (std::string line; std::getline(in, line);) {
    if (line.empty() || line[0] == '#') continue;
    size_t blank = line.find(' ');
    if (blank == std::string::npos) {
      std::fprintf(stderr, "%s: \"%s\" gives no reason\n", waivers.c_str(), line.c_str());
      return 2;
    }
    tally.waivers[line.substr(0, blank)] = line.substr(blank + 1);
  }
  std::vector<std::filesystem::path> files;
  for (const auto& file : std::filesystem::directory_iterator(folder)) {
    if (file.path().extension() == ".scn") files.push_back(file.path());
  }
  std::sort(files.begin(), files.end());
  for (const auto& file : files) tally.runFile(file);
  bool stale = false;
  for (const auto& [place, reason] : tally.waivers) {
    if (tally.used.count(place) != 0) continue;
    stale = true;
    std::printf("%s: waived (%s), and agrees\n", place.c_str(), reason.c_str());
  }
  std::printf("%zu histories, %d facts: %d differ, %zu more are waived\n", files.size(),
              tally.facts, tally.differ, tally.used.size());
  return files.empty() || tally.differ != 0 || stale ? 1 : 0;
}

}  // namespace
}  // namespace flotilla::test

int main(int argc, char** argv) {
  if (argc < 2 || argc > 3) {
    std::fprintf(stderr, "usage: raft-scenarios FOLDER [WAIVERS]\n");
    return 2;
  }
  // Outside of a test case, a REQUIRE that fails ends the program.
  doctest::Context context;
  context.setAsDefaultForAssertsOutOfTestCases();
  context.setAssertHandler([](const doctest::AssertData& data) {
    std::fprintf(stderr, "raft-scenarios: %s\n", data.m_expr);
    std::exit(2);
  });
  return flotilla::test::runAll(argv[1], argc == 3 ? argv[2] : "/dev/null");
}

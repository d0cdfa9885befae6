// What a step costs, for callgrind: each kind of step in a function of its own that does nothing
// else.
//
//   valgrind --tool=callgrind --toggle-collect='stepOf*' build/release/tests/raft-step-cost KIND
//
// prints "Collected : N"; N / 1000 is what one step costs. step_cost.sh does it for all kinds.
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "host/raft/core.h"

using namespace flotilla::raft;

namespace {

constexpr uint64_t kSteps = 1000;
constexpr uint64_t kEntryBytes = 128 * 1000;

Configuration three() {
  Configuration configuration;
  configuration.voters = {1, 2, 3};
  return configuration;
}

CoreConfig configOf(ReplicaId self) {
  CoreConfig config;
  config.self = self;
  config.preVote = false;
  return config;
}

Message from(ReplicaId sender, MessageKind kind, Term term) {
  Message message;
  message.kind = kind;
  message.from = sender;
  message.to = 1;
  message.term = term;
  message.granted = true;
  return message;
}

}  // namespace

// One step and nothing else; its name is callgrind's.
extern "C" __attribute__((noinline)) void stepOf(Core& core, const Input& input, Effects& effects) {
  core.step(input, effects);
}

namespace {

// Core 1, its disk, and what it has been told.
class Bench {
public:
  Bench() : core_(configOf(1), {}, LogShape({}, three())) {}

  // Outside of what is counted.
  void prepare(const Input& input) {
    effects_.clear();
    core_.step(input, effects_);
    persist();
  }
  void lead() {
    prepare(Campaign{});
    prepare(Receive{from(2, MessageKind::voteReply, 1), 0});
    acknowledge(2, false);
    acknowledge(3, false);
    if (core_.role() != Role::leader || core_.commit() != 1) std::abort();
  }
  void acknowledge(ReplicaId peer, bool counted) {
    Message reply = from(peer, MessageKind::appendReply, core_.term());
    reply.index = core_.shape().lastIndex();
    Receive receive{std::move(reply), 0};
    counted ? count(receive) : prepare(receive);
  }

  void propose(bool counted) {
    Propose propose{++proposals_, kEntryBytes};
    counted ? count(propose) : prepare(propose);
  }
  void append() {
    Message message = from(2, MessageKind::append, 1);
    message.after = core_.shape().last();
    message.runs = {{message.after.index + 1, 1}};
    message.commit = message.after.index;
    count(Receive{std::move(message), kEntryBytes});
  }
  void tick() { count(Tick{}); }
  void answerHeartbeats() {
    for (ReplicaId peer : {ReplicaId{2}, ReplicaId{3}}) {
      prepare(Receive{from(peer, MessageKind::heartbeatReply, 1), 0});
    }
  }

private:
  void count(Input input) {
    effects_.clear();
    stepOf(core_, input, effects_);
    persist();
  }
  void persist() {
    if (!effects_.write) return;
    Persisted persisted{effects_.write->id};
    effects_.clear();
    core_.step(persisted, effects_);
  }

  Core core_;
  Effects effects_;
  ProposalId proposals_ = 0;
};

void run(const std::string& kind) {
  Bench bench;
  if (kind != "append") bench.lead();
  for (uint64_t i = 0; i < kSteps; ++i) {
    if (kind == "propose") {
      bench.propose(true);
      bench.acknowledge(2, false);
      bench.acknowledge(3, false);
    } else if (kind == "append") {
      bench.append();
    } else if (kind == "ack") {
      bench.propose(false);
      bench.acknowledge(2, true);
      bench.acknowledge(3, false);
    } else {
      bench.tick();
      bench.answerHeartbeats();
    }
  }
}

}  // namespace

int main(int argc, char** argv) {
  for (const char* kind : {"propose", "append", "ack", "tick"}) {
    if (argc == 2 && std::strcmp(argv[1], kind) == 0) {
      run(kind);
      return 0;
    }
  }
  std::fprintf(stderr, "raft-step-cost: name one of propose append ack tick\n");
  return 2;
}

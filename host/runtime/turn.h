// The end of the loop's turn: everything that gathered in it goes out at once.
#pragma once

#include <memory>
#include <vector>

#include <kj/async.h>

namespace flotilla::runtime {

class Inbox;
class Replica;

// Remembers which replicas were given something in this turn, and flushes each once when the loop
// has nothing else to do: one entry for all commands of the moment, with no timer added.
//
// Owner:  Host's parts; outlives the replicas.
// Thread: the loop's.
// Errors: none.
class Turn {
public:
  explicit Turn(Inbox& inbox) : inbox_(inbox) {}
  KJ_DISALLOW_COPY(Turn);

  void mark(std::shared_ptr<Replica> replica);

private:
  void flush();

  Inbox& inbox_;
  std::vector<std::shared_ptr<Replica>> marked_;
  std::vector<std::shared_ptr<Replica>> batch_;
  bool flushing_ = false;
  kj::Promise<void> end_ = kj::READY_NOW;
};

}  // namespace flotilla::runtime

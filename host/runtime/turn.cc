// The end of the loop's turn.
#include "host/runtime/turn.h"

#include <cstdlib>

#include <kj/debug.h>

#include "host/runtime/inbox.h"
#include "host/runtime/replica.h"

namespace flotilla::runtime {

void Turn::mark(std::shared_ptr<Replica> replica) {
  if (replica->marked) return;
  replica->marked = true;
  marked_.push_back(std::move(replica));
  if (marked_.size() > 1 || flushing_) return;
  end_ = kj::evalLast([this]() { flush(); }).eagerlyEvaluate([](kj::Exception&& exception) {
    // A flush never throws; one that does has broken an invariant of a group.
    KJ_LOG(FATAL, "a group's turn threw", exception);
    std::abort();
  });
}

void Turn::flush() {
  flushing_ = true;
  inbox_.lookForLeft();
  while (!marked_.empty()) {
    std::swap(batch_, marked_);
    for (size_t i = 0; i < batch_.size(); ++i) {
      fetchAhead(batch_, i);
      batch_[i]->marked = false;
      batch_[i]->flush();
    }
    batch_.clear();
  }
  flushing_ = false;
}

}  // namespace flotilla::runtime

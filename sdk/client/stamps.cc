// The stamps of one session: what makes a repeated command harmless.
#include "sdk/client/stamps.h"

namespace flotilla::client {

void Stamps::open(uint64_t session) {
  session_ = session;
  below_ = 1;
  settled_.clear();
}

uint64_t Stamps::take() {
  settled_.push_back(false);
  return below_ + settled_.size() - 1;
}

void Stamps::settle(uint64_t session, uint64_t sequence) {
  if (session != session_ || sequence < below_ || sequence >= below_ + settled_.size()) return;
  settled_[sequence - below_] = true;
  while (!settled_.empty() && settled_.front()) {
    settled_.pop_front();
    ++below_;
  }
}

}  // namespace flotilla::client

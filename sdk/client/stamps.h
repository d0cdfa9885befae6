// The stamps of one session: what makes a repeated command harmless.
#pragma once

#include <cstdint>
#include <deque>

namespace flotilla::client {

// Hands out sequences and knows below which one all answers have arrived.
//
// Owner:  Lane.
// Thread: the client's loop.
// Errors: none.
class Stamps {
public:
  // Begins a session anew; 0: none.
  void open(uint64_t session);
  uint64_t session() const { return session_; }

  uint64_t take();  // the next sequence
  // Its answer has arrived, or nobody waits for it any more. Another session's are passed over.
  void settle(uint64_t session, uint64_t sequence);

  uint64_t acknowledgedBelow() const { return below_; }
  // How many answers the group must keep for this session at most.
  uint64_t spread() const { return settled_.size(); }

private:
  uint64_t session_ = 0;
  uint64_t below_ = 1;
  std::deque<bool> settled_;  // of below_, below_ + 1, …
};

}  // namespace flotilla::client

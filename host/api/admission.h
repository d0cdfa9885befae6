// How much one connection may have under way.
#pragma once

#include <cstddef>

#include <kj/common.h>
#include <kj/function.h>
#include <kj/memory.h>
#include <kj/refcount.h>

#include "host/runtime/answer_budget.h"

namespace flotilla::api {

// Counts a connection's calls that have not been answered, and what their answers come to. What
// would go beyond is refused with `overloaded`, at once; nothing waits for room. Other hosts'
// connections have no bounds: what they forward has been admitted there.
//
// Owner:  shared by the connection's capabilities and by each call under way.
// Thread: the connection's loop's.
// Errors: none.
class Admission final : public kj::Refcounted {
public:
  static constexpr size_t kCallsMax = 65'536;
  static constexpr size_t kBytesMax = 256 << 20;
  // Answers that have come and not left. Those of calls that are under way then may come to
  // AnswerRoom::kBytesMax.
  static constexpr size_t kAnswersBytesMax = 64 << 20;

  struct Boundless {};
  explicit Admission(Boundless) {}
  explicit Admission(kj::Function<size_t()> unsentBytes)
      : room_(kj::refcounted<runtime::AnswerRoom>(kj::mv(unsentBytes))) {}

  // A place among the calls under way, given back at the end of its life.
  class Ticket {
  public:
    Ticket(kj::Own<Admission> admission, size_t calls, size_t bytes, runtime::AnswerShare share)
        : admission_(kj::mv(admission)), calls_(calls), bytes_(bytes), share_(kj::mv(share)) {
      admission_->calls_ += calls_;
      admission_->bytes_ += bytes_;
    }
    Ticket(Ticket&&) = default;
    Ticket& operator=(Ticket&&) = delete;
    ~Ticket() {
      if (admission_.get() == nullptr) return;
      admission_->calls_ -= calls_;
      admission_->bytes_ -= bytes_;
    }
    KJ_DISALLOW_COPY(Ticket);

    // For whoever gathers the answers.
    runtime::AnswerShare share() {
      return share_.get() == nullptr ? runtime::AnswerShare() : kj::addRef(*share_);
    }

  private:
    kj::Own<Admission> admission_;
    size_t calls_;
    size_t bytes_;
    runtime::AnswerShare share_;
  };

  // Nothing where there is no room.
  kj::Maybe<Ticket> enter(size_t calls, size_t bytes) {
    if (room_.get() == nullptr) return Ticket(kj::addRef(*this), calls, bytes, {});
    bool room = calls_ + calls <= kCallsMax && (bytes_ + bytes <= kBytesMax || calls_ == 0) &&
                room_->taken() <= kAnswersBytesMax;
    if (!room) return nullptr;
    auto share = kj::refcounted<runtime::AnswerRoom::Share>(kj::addRef(*room_));
    return Ticket(kj::addRef(*this), calls, bytes, kj::mv(share));
  }

private:
  size_t calls_ = 0;
  size_t bytes_ = 0;
  kj::Own<runtime::AnswerRoom> room_;  // null: boundless
};

}  // namespace flotilla::api

// How much the answers of one batch may come to.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>

#include <kj/function.h>
#include <kj/refcount.h>

#include "host/group/ports.h"

namespace flotilla::runtime {

enum class CallKind : uint8_t { commands, queries };

// What the answers of one connection come to: of calls under way, and in messages to it that have
// not left. Whoever asks and does not read is so given no more at some point.
//
// Owner:  shared by the connection's session and the shares.
// Thread: the loop's.
// Errors: none.
class AnswerRoom final : public kj::Refcounted {
public:
  static constexpr size_t kBytesMax = 256 << 20;

  explicit AnswerRoom(kj::Function<size_t()> unsent) : unsent_(kj::mv(unsent)) {}
  size_t taken() { return bytes_ + unsent_(); }

  // One batch's, given back at the end of its life: when the message with its answers is made.
  class Share final : public kj::Refcounted {
  public:
    explicit Share(kj::Own<AnswerRoom> room) : room_(kj::mv(room)) {}
    ~Share() { room_->bytes_ -= bytes_; }
    KJ_DISALLOW_COPY(Share);

    // False where there is none for so much.
    bool take(size_t bytes) {
      if (bytes > kBytesMax - std::min(room_->taken(), kBytesMax)) return false;
      room_->bytes_ += bytes;
      bytes_ += bytes;
      return true;
    }

  private:
    kj::Own<AnswerRoom> room_;
    size_t bytes_ = 0;
  };

private:
  kj::Function<size_t()> unsent_;
  size_t bytes_ = 0;
};
using AnswerShare = kj::Own<AnswerRoom::Share>;  // null: there is no bound but the batch's

// A batch is answered by one message, so its answers have a bound together. Those that fit beside
// the ones before them go; in the place of each other there is a fault. A query is `overloaded`:
// asked again it has no less of an answer. A command has been carried out and is `unknown`, at its
// position.
//
// Owner:  a batch of calls.
// Thread: the loop's.
// Errors: none; what is a fault already stays as it is.
class AnswerBudget {
public:
  static constexpr size_t kBatchBytesMax = 32 << 20;
  static constexpr size_t kAloneBytesMax = 60 << 20;  // of the only answer of a batch

  AnswerBudget(CallKind kind, size_t calls, AnswerShare share)
      : kind_(kind),
        bytesMax_(calls == 1 ? kAloneBytesMax : kBatchBytesMax),
        share_(kj::mv(share)) {}

  void fit(group::Outcome& outcome) {
    if (!outcome.ok() && outcome.code != ErrorCode::app) return;
    size_t bytes = outcome.body.size();
    bool room = bytes <= bytesMax_ - kept_;
    if (!room || (share_.get() != nullptr && !share_->take(bytes))) return refuse(outcome, room);
    kept_ += bytes;
  }

private:
  void refuse(group::Outcome& outcome, bool room) const;

  CallKind kind_;
  size_t bytesMax_;
  size_t kept_ = 0;
  AnswerShare share_;
};

inline void AnswerBudget::refuse(group::Outcome& outcome, bool room) const {
  size_t bytes = outcome.body.size();
  std::string size = "its answer of " + std::to_string(bytes) + " bytes ";
  std::string what;
  if (bytes > kAloneBytesMax) {
    what = size + "is longer than the " + std::to_string(kAloneBytesMax) +
           " that a message has room for; make it ask for less at a time";
  } else if (room) {
    what = size + "had no room beside those that this connection has not taken, at most " +
           std::to_string(AnswerRoom::kBytesMax) + "; read them first";
  } else {
    what = size + "had no room beside the others of its batch, together at most " +
           std::to_string(kBatchBytesMax) + "; send fewer at a time, or it alone";
  }
  group::Outcome refused;
  refused.position = outcome.position;
  if (kind_ == CallKind::commands) {
    refused.code = ErrorCode::unknown;
    what = "applied, but " + what;
  } else {
    refused.code = bytes > kAloneBytesMax ? ErrorCode::tooLarge : ErrorCode::overloaded;
  }
  refused.body = Bytes::copyOf(what);
  outcome = std::move(refused);
}

}  // namespace flotilla::runtime

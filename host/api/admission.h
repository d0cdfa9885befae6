// How much one connection may have under way.
#pragma once

#include <cstddef>

#include <kj/common.h>
#include <kj/memory.h>
#include <kj/refcount.h>

namespace flotilla::api {

// Counts a connection's calls that have not been answered. What would go beyond is refused with
// `overloaded`, at once; nothing waits for room.
//
// Owner:  shared by the connection's capabilities and by each call under way.
// Thread: the connection's loop's.
// Errors: none.
class Admission final : public kj::Refcounted {
public:
  static constexpr size_t kCallsMax = 65'536;
  static constexpr size_t kBytesMax = 256 << 20;

  // A place among the calls under way, given back at the end of its life.
  class Ticket {
  public:
    Ticket(kj::Own<Admission> admission, size_t calls, size_t bytes)
        : admission_(kj::mv(admission)), calls_(calls), bytes_(bytes) {
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

  private:
    kj::Own<Admission> admission_;
    size_t calls_;
    size_t bytes_;
  };

  // Nothing where there is no room.
  kj::Maybe<Ticket> enter(size_t calls, size_t bytes) {
    bool room = calls_ + calls <= kCallsMax && (bytes_ + bytes <= kBytesMax || calls_ == 0);
    if (!room) return nullptr;
    return Ticket(kj::addRef(*this), calls, bytes);
  }

private:
  size_t calls_ = 0;
  size_t bytes_ = 0;
};

}  // namespace flotilla::api

// The end of the loop's turn.
#include "sdk/client/turn_end.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <iterator>
#include <utility>

#include <kj/debug.h>

namespace flotilla::client {
namespace {

constexpr size_t kToldKept = 4096;  // room for twice so many outcomes stays, 0.6 MiB
constexpr size_t kFetchedAhead = 4;
constexpr size_t kCapturedMostly = 40;  // bytes; they begin anywhere in a line

// What a function has captured lies anywhere, and with many groups was last touched long ago. Where
// is what kj::Function does not tell: its one member is an Own, a disposer and a pointer. Were it
// another, nothing would be fetched, or in vain.
template <typename Signature>
void fetchCaptured(const kj::Function<Signature>& function) {
  std::array<const void*, 2> parts{};
  static_assert(sizeof(function) == sizeof(parts));
  std::memcpy(parts.data(), static_cast<const void*>(&function), sizeof(parts));
  const char* captured = static_cast<const char*>(parts[1]);
  __builtin_prefetch(captured);
  __builtin_prefetch(captured + kCapturedMostly);
}

}  // namespace

TurnEnd::Member::~Member() noexcept(false) {
  if (marked_ != nullptr) marked_->forget(*this);
}

void TurnEnd::mark(Member& member, Members& among) {
  if (member.marked_ != nullptr) return;
  member.marked_ = this;
  among.push_back(&member);
  if (armed_) return;
  armed_ = true;
  tasks_.add(kj::evalLast([this]() { run(); }));
}

// Who is marked while this runs waits for the next turn's end, but for those whose time has not
// come yet: the intake marks lanes, and lanes mark couriers.
void TurnEnd::run() {
  armed_ = false;
  std::swap(intakes_, calledIntakes_);
  call(calledIntakes_);
  std::swap(lanes_, calledLanes_);
  call(calledLanes_);
  std::swap(couriers_, calledCouriers_);
  call(calledCouriers_);
}

void TurnEnd::call(Members& members) {
  for (size_t i = 0; i < members.size(); ++i) {
    Member* member = std::exchange(members[i], nullptr);
    if (member == nullptr) continue;
    member->marked_ = nullptr;
    KJ_IF_MAYBE (thrown, kj::runCatchingExceptions([member]() { member->turnEnds(); })) {
      KJ_LOG(ERROR, "the end of a turn threw", *thrown);
    }
  }
  members.clear();
}

void TurnEnd::forget(Member& member) {
  for (Members* members :
       {&intakes_, &lanes_, &couriers_, &calledIntakes_, &calledLanes_, &calledCouriers_}) {
    std::replace(members->begin(), members->end(), &member, static_cast<Member*>(nullptr));
  }
}

void TurnEnd::tell(std::vector<Ended>& ended) {
  if (ended.empty()) return;
  bool first = told_->next.empty();
  told_->next.insert(told_->next.end(), std::make_move_iterator(ended.begin()),
                     std::make_move_iterator(ended.end()));
  ended.clear();
  if (!first) return;
  kj::evalLater([told = told_]() {
    std::swap(told->now, told->next);
    for (size_t at = 0; at < told->now.size(); ++at) {
      Ended& it = told->now[at];
      if (at + kFetchedAhead < told->now.size()) fetchCaptured(told->now[at + kFetchedAhead].done);
      KJ_IF_MAYBE (thrown, kj::runCatchingExceptions([&it]() { it.done(std::move(it.outcome)); })) {
        KJ_LOG(ERROR, "a caller threw when it was told its outcome", *thrown);
      }
    }
    told->now.clear();
    if (told->now.capacity() > kToldKept) told->now.shrink_to_fit();
  }).detach([](kj::Exception&& exception) { KJ_LOG(ERROR, exception); });
}

void TurnEnd::taskFailed(kj::Exception&& exception) {
  KJ_LOG(ERROR, exception);
}

}  // namespace flotilla::client

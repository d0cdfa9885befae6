// Calls that were just made, before their lanes have them.
#include "sdk/client/intake.h"

#include <utility>

#include <kj/common.h>

#include "sdk/client/lane.h"

namespace flotilla::client {
namespace {

constexpr size_t kMadeMax = 64;
constexpr size_t kBytesMax = 64 << 10;
constexpr size_t kFetchedAhead = 6;  // calls before its turn

}  // namespace

void Intake::add(Lane& lane, MethodId method, kj::ArrayPtr<const capnp::word> params,
                 Freshness freshness, Done&& done) {
  kj::ArrayPtr<const kj::byte> bytes = params.asBytes();
  size_t firstByte = params_.size();
  params_.insert(params_.end(), bytes.begin(), bytes.end());
  Made& made = made_.emplace_back();
  made.lane = &lane;
  made.method = method;
  made.freshness = freshness;
  made.firstByte = firstByte;
  made.byteCount = bytes.size();
  made.done = kj::mv(done);
  lane.fetch();
  turnEnd_.markIntake(*this);
  if (made_.size() >= kMadeMax || params_.size() >= kBytesMax) giveAll();
}

// A lane calls nobody from here, so nothing comes in meanwhile. Where memory ends within, what was
// not given yet goes; nothing is given twice.
void Intake::giveAll() {
  KJ_DEFER({
    made_.clear();
    params_.clear();
  });
  for (size_t at = 0; at < made_.size(); ++at) {
    if (size_t next = at + kFetchedAhead; next < made_.size()) {
      made_[next].lane->fetchRoom(made_[next].byteCount);
    }
    Made& made = made_[at];
    const kj::byte* first = params_.data() + made.firstByte;
    made.lane->given(made.method,
                     kj::arrayPtr(reinterpret_cast<const capnp::word*>(first),
                                  made.byteCount / sizeof(capnp::word)),
                     made.freshness, kj::mv(made.done));
  }
}

// What callers have captured may drop other groups as it goes, so it goes when we are whole again.
void Intake::forget(const Lane& lane) {
  std::vector<Made> gone;
  for (Made& made : made_) {
    if (made.lane == &lane) gone.push_back(std::exchange(made, Made{}));
  }
  std::erase_if(made_, [](const Made& made) { return made.lane == nullptr; });
}

}  // namespace flotilla::client

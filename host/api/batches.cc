// Batches of calls, and what became of them, between the wire and the router.
#include "host/api/batches.h"

#include <cstring>
#include <utility>

#include "host/api/faults.h"
#include "host/api/words.h"

namespace flotilla::api {
namespace {

constexpr size_t kWord = sizeof(capnp::word);

size_t roundedUp(size_t bytes) {
  return (bytes + kWord - 1) / kWord * kWord;
}

template <typename Calls>
kj::Maybe<Fault> copyParams(Calls from, std::vector<group::Call>& to) {
  size_t bytes = 0;
  for (auto call : from) bytes += roundedUp(call.getParams().size());
  if (bytes > kBatchBytesMax || from.size() > kBatchCallsMax) {
    return Fault{ErrorCode::tooLarge,
                 "batch: " + std::to_string(from.size()) + " calls with " + std::to_string(bytes) +
                     " bytes; at most " + std::to_string(kBatchCallsMax) + " with " +
                     std::to_string(kBatchBytesMax),
                 ""};
  }
  std::shared_ptr<char[]> buffer = Bytes::allocate(bytes);
  Bytes all = Bytes::take(buffer, bytes);
  size_t at = 0;
  to.reserve(from.size());
  for (auto call : from) {
    std::string_view params = viewOf(call.getParams());
    if (params.size() % kWord != 0) {
      return Fault{ErrorCode::badRequest,
                   "batch: params of " + std::to_string(params.size()) +
                       " bytes; they are one segment of whole words",
                   ""};
    }
    if (!params.empty()) std::memcpy(buffer.get() + at, params.data(), params.size());
    group::Call& one = to.emplace_back();
    one.interfaceId = call.getInterfaceId();
    one.method = call.getMethod();
    one.params = all.part(all.view().substr(at, params.size()));
    at += params.size();
  }
  return nullptr;
}

}  // namespace

kj::Maybe<Fault> read(capnp::List<schema::Command>::Reader from, std::vector<group::Call>& to) {
  KJ_IF_MAYBE (fault, copyParams(from, to)) return kj::mv(*fault);
  for (unsigned i = 0; i < from.size(); ++i) {
    auto stamp = from[i].getStamp();
    to[i].stamp = {stamp.getSession(), stamp.getSequence(), stamp.getAcknowledgedBelow()};
  }
  return nullptr;
}

kj::Maybe<Fault> read(capnp::List<schema::Question>::Reader from, std::vector<group::Call>& to) {
  return copyParams(from, to);
}

size_t bytesOf(const std::vector<group::Call>& calls) {
  size_t bytes = 0;
  for (const group::Call& call : calls) bytes += call.params.size();
  return bytes;
}

void write(const runtime::Outcomes& from, capnp::List<schema::Outcome>::Builder to,
           runtime::Host& host) {
  for (unsigned i = 0; i < to.size(); ++i) {
    const group::Outcome& outcome = from[i];
    if (outcome.ok()) {
      to[i].setAnswer(dataOf(outcome.body.view()));
    } else {
      auto fault = to[i].initFault();
      write(faultOf(outcome), fault);
      if (outcome.leaderHint != 0) {
        fault.getLeader().setId(outcome.leaderHint);
        fault.getLeader().setAddress(host.addressOf(outcome.leaderHint));
      }
    }
    to[i].getPosition().setIndex(outcome.position.index);
    to[i].getPosition().setOrdinal(outcome.position.ordinal);
  }
}

uint64_t wordsOf(const runtime::Outcomes& outcomes) {
  constexpr uint64_t kWordsEach = 24;
  uint64_t words = kWordsEach;
  for (const group::Outcome& outcome : outcomes) {
    words += kWordsEach + roundedUp(outcome.body.size()) / kWord;
  }
  return words;
}

Fault full(const std::string& group) {
  return Fault{ErrorCode::overloaded,
               "group " + group + ": this connection has too much under way; wait for answers", ""};
}

}  // namespace flotilla::api

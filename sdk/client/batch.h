// Calls that travel together.
#pragma once

#include <cstdint>
#include <list>
#include <memory>
#include <vector>

#include <kj/function.h>
#include <kj/time.h>

#include "schemas/client.capnp.h"
#include "sdk/client/fault_text.h"
#include "sdk/client/outcome.h"
#include "sdk/client/stamps.h"

namespace flotilla::client {

struct Call {
  MethodId method;
  size_t firstByte = 0;  // of its parameters, in Batch::params
  size_t byteCount = 0;
  kj::TimePoint deadline = kj::origin<kj::TimePoint>();
  kj::Function<void(Outcome&&)> done;
  uint64_t session = 0;  // its stamp; 0: not stamped
  uint64_t sequence = 0;
  uint32_t faultCount = 0;  // how often its machine faulted, or its leader's disk was full
  bool sent = false;        // at least once
  bool doubted = false;     // sent, and it is not known what became of it
  bool unheard = false;     // carried out for certain, and its answer did not come
  bool ended = false;       // has its outcome
};

// Asks for memory that is to be written, without waiting for it.
inline void fetchToWrite(const void* at, size_t bytes) {
  constexpr size_t kLine = 64;
  const char* first = static_cast<const char*>(at);
  // gcc 12 takes a function that only prefetches for one without effect, and leaves its calls out.
  asm volatile("" : : "r"(at));
  for (size_t i = 0; i < bytes + kLine - 1; i += kLine) __builtin_prefetch(first + i, 1);
}

// Calls of one turn of the loop and what they carry. What is left of a batch is sent again whole.
//
// Owner:  Lane.
// Thread: the client's loop.
// Errors: none.
struct Batch {
  std::vector<Call> calls;
  std::vector<kj::byte> params;  // of all calls, end to end; whole words
  Freshness freshness;           // of queries
  uint64_t serial = 0;           // of its first call; older ones are lower

  bool empty() const { return calls.empty(); }
  void reserve(size_t callCount, size_t byteCount) {
    calls.reserve(callCount);
    params.reserve(byteCount);
  }
  void add(MethodId method, kj::ArrayPtr<const capnp::word> words, kj::TimePoint deadline,
           kj::Function<void(Outcome&&)>&& done);
  void fetchRoom(size_t byteCount) const;  // asks for where the next call will be written
  void dropEnded();                        // forgets the calls that have their outcomes
  Batch takeFirst(size_t count);           // so many calls, with what they carry

  size_t wireWords() const;  // of its commands in a message
  void write(capnp::List<schema::Command>::Builder to, uint64_t acknowledgedBelow) const;

  // Requests that carry every call.
  capnp::RemotePromise<schema::Group::SubmitResults> submit(schema::Group::Client& group,
                                                            uint64_t acknowledgedBelow) const;
  capnp::RemotePromise<schema::Group::QueryResults> query(schema::Group::Client& group) const;
};

// One outcome off the wire, into an empty one; `keep` gives the bytes of an answer a life beyond
// its message.
template <typename Keep>
void readOutcome(schema::Outcome::Reader from, Keep keep, Outcome& to) {
  to.position = {from.getPosition().getIndex(), from.getPosition().getOrdinal()};
  if (from.isFault()) {
    auto fault = from.getFault();
    to.fault = faultOf(fault);
    auto leader = fault.getLeader();
    if (leader.getId() != 0) {
      to.leader = HostAddress{leader.getId(), std::string(leader.getAddress().cStr())};
    }
  } else {
    to.answer = keep(from.getAnswer().asChars());
  }
}

// What became of a batch's calls, in their order; empty where the host answered another number.
std::vector<Outcome> outcomesOf(capnp::Response<schema::Group::SubmitResults>&& response);
std::vector<Outcome> outcomesOf(capnp::Response<schema::Group::QueryResults>&& response);

}  // namespace flotilla::client

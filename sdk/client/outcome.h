// How one call ended, and how fresh a query's answer must be.
#pragma once

#include <cstdint>
#include <string>
#include <utility>

#include "flotilla/bytes.h"
#include "flotilla/rarely.h"
#include "flotilla/result.h"
#include "sdk/client/words.h"

namespace flotilla::client {

// A command's name within its group; for a query, index is what it saw applied.
struct Position {
  uint64_t index = 0;
  uint32_t ordinal = 0;

  bool operator==(const Position&) const = default;
};

// A host by its id, and where it listens.
struct HostAddress {
  uint64_t id = 0;  // 0: not known
  std::string address;
};

// The answer is the method's result struct as flat words (read it with FlatMessage), or there is a
// fault. `maybeDone(fault->code)` says whether the command may have been carried out all the same.
//
// Thread: the client's; the bytes may lie in a received message, which dies on the loop it came by.
struct Outcome {
  Rarely<Fault> fault;
  Bytes answer;
  Position position;
  Rarely<HostAddress> leader;  // with notLeader, where known

  bool ok() const { return !fault.has_value(); }

  static Outcome failed(Fault why) {
    Outcome out;
    out.fault = std::move(why);
    return out;
  }
};

struct Freshness {
  enum class Kind { linearizable, lease, stale };
  Kind kind = Kind::linearizable;
  uint32_t maxAgeMs = 0;  // with stale; 0: any age

  static Freshness linearizable() { return {}; }
  static Freshness lease() { return {Kind::lease, 0}; }
  static Freshness stale(uint32_t maxAgeMs) { return {Kind::stale, maxAgeMs}; }

  bool operator==(const Freshness&) const = default;
};

}  // namespace flotilla::client

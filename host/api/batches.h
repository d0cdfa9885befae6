// Batches of calls, and what became of them, between the wire and the router.
#pragma once

#include <cstddef>
#include <vector>

#include <kj/common.h>

#include "flotilla/result.h"
#include "host/api/session.h"
#include "host/api/words.h"
#include "schemas/client.capnp.h"

namespace flotilla::api {

inline constexpr size_t kBatchBytesMax = kParamsBytesMax;
inline constexpr size_t kBatchCallsMax = 65'536;

// The calls of a batch, their params in one aligned copy: the message they came in belongs to this
// loop alone. `tooLarge` beyond the limits, `badRequest` for params that are not whole words.
kj::Maybe<Fault> read(capnp::List<schema::Command>::Reader from, std::vector<group::Call>& to);
kj::Maybe<Fault> read(capnp::List<schema::Question>::Reader from, std::vector<group::Call>& to);

size_t bytesOf(const std::vector<group::Call>& calls);

// `host` knows the address of a leader that an outcome names.
void write(const runtime::Outcomes& from, capnp::List<schema::Outcome>::Builder to,
           runtime::Host& host);
uint64_t wordsOf(const runtime::Outcomes& outcomes);  // room for them in a message

// That the connection has too much under way.
Fault full(const std::string& group);

}  // namespace flotilla::api

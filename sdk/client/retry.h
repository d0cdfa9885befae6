// What to do with a call that has not got its answer.
#pragma once

#include "flotilla/result.h"

namespace flotilla::client {

enum class Verdict {
  final,      // the caller must know
  again,      // at the same host, a little later
  elsewhere,  // at another host
  reopen,     // under a new session
};

// What a fault asks for. `repeatable` calls (queries, and commands with a stamp) lose nothing by
// running twice, so that even a doubtful end is not final.
Verdict verdictOn(ErrorCode code, bool repeatable);

// What the caller is told of a call that ends for good: a refusal does not count as one when an
// earlier attempt may have been carried out.
Fault finalFault(Fault fault, bool doubted);

}  // namespace flotilla::client

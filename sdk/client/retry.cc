// What to do with a call that has not got its answer.
#include "sdk/client/retry.h"

namespace flotilla::client {

Verdict verdictOn(ErrorCode code, bool repeatable) {
  switch (code) {
    // Not carried out: to be asked again by anybody.
    case ErrorCode::overloaded:
      return Verdict::again;
    case ErrorCode::notLeader:
    case ErrorCode::unavailable:
    case ErrorCode::groupStopping:
    case ErrorCode::diskFull:  // of the leader, which hands over if another has room
      return Verdict::elsewhere;
    case ErrorCode::sessionExpired:
      return Verdict::reopen;
    // Perhaps carried out.
    case ErrorCode::unknown:
    case ErrorCode::timeout:
    case ErrorCode::faulted:
      return repeatable ? Verdict::elsewhere : Verdict::final;
    default:
      return Verdict::final;
  }
}

Fault finalFault(Fault fault, bool doubted) {
  if (!doubted || fault.code == ErrorCode::app || maybeDone(fault.code)) return fault;
  return {ErrorCode::unknown,
          "sent before and not answered, so it may have been carried out; asked again: " +
              std::string(nameOf(fault.code)) + ": " + fault.text,
          ""};
}

}  // namespace flotilla::client

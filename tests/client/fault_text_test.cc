// Faults as texts and back, stamps, and what retries make of a code.
#include "sdk/client/fault_text.h"

#include <doctest/doctest.h>
#include <kj/debug.h>

#include "sdk/client/retry.h"
#include "sdk/client/stamps.h"

using flotilla::ErrorCode;
using flotilla::Fault;
using namespace flotilla::client;  // NOLINT(google-build-using-namespace)

TEST_CASE("client/fault_text: every code survives being written and read") {
  for (uint16_t code = 1; code <= static_cast<uint16_t>(ErrorCode::app); ++code) {
    Fault fault{static_cast<ErrorCode>(code), "group 7: what was found; what to do", ""};
    if (fault.code == ErrorCode::app) fault.appCode = "emptyKey";
    CHECK(parseFault(faultText(fault)) == fault);
    CHECK(faultOf(exceptionOf(fault)) == fault);
  }
  CHECK(faultText({ErrorCode::app, "no", "emptyKey"}) == "flotilla/app/emptyKey: no");
}

TEST_CASE("client/fault_text: what kj puts before a fault is passed over") {
  Fault fault = parseFault("remote exception: flotilla/noSuchGroup: group 103: no such group");
  CHECK(fault == Fault{ErrorCode::noSuchGroup, "group 103: no such group", ""});
}

TEST_CASE("client/fault_text: other texts are unknown, with all their words") {
  for (const char* text : {"", "Connection reset", "flotilla/", "flotilla/overloaded",
                           "flotilla/two words: x", "flotilla/: x"}) {
    CHECK(parseFault(text) == Fault{ErrorCode::unknown, text, ""});
  }
  CHECK(parseFault("flotilla/fromTheFuture: x") == Fault{ErrorCode::unknown, "x", ""});
}

TEST_CASE("client/fault_text: an exception without a fault is judged by its type") {
  CHECK(faultOf(KJ_EXCEPTION(DISCONNECTED, "gone")).code == ErrorCode::unknown);
  CHECK(faultOf(KJ_EXCEPTION(OVERLOADED, "full")).code == ErrorCode::overloaded);
  CHECK(faultOf(KJ_EXCEPTION(UNIMPLEMENTED, "what")).code == ErrorCode::noSuchMethod);
  CHECK(!carriesFault(KJ_EXCEPTION(FAILED, "x")));
  CHECK(carriesFault(exceptionOf({ErrorCode::denied, "x", ""})));
  CHECK(exceptionOf({ErrorCode::overloaded, "x", ""}).getType() == kj::Exception::Type::OVERLOADED);
}

TEST_CASE("client/stamps: what is acknowledged is all that has arrived without a gap") {
  Stamps stamps;
  stamps.open(9);
  CHECK(stamps.acknowledgedBelow() == 1);
  CHECK(stamps.take() == 1);
  CHECK(stamps.take() == 2);
  CHECK(stamps.take() == 3);
  stamps.settle(9, 2);
  CHECK(stamps.acknowledgedBelow() == 1);
  CHECK(stamps.spread() == 3);
  stamps.settle(9, 1);
  CHECK(stamps.acknowledgedBelow() == 3);
  stamps.settle(9, 1);   // again
  stamps.settle(8, 3);   // another session's
  stamps.settle(9, 99);  // never given out
  CHECK(stamps.acknowledgedBelow() == 3);
  CHECK(stamps.spread() == 1);
  stamps.open(10);
  CHECK(stamps.take() == 1);
}

TEST_CASE("client/retry: only what may run twice is repeated after a doubtful end") {
  for (ErrorCode code : {ErrorCode::unknown, ErrorCode::timeout, ErrorCode::faulted}) {
    CHECK(verdictOn(code, true) == Verdict::elsewhere);
    CHECK(verdictOn(code, false) == Verdict::final);
  }
  for (bool repeatable : {false, true}) {
    CHECK(verdictOn(ErrorCode::overloaded, repeatable) == Verdict::again);
    CHECK(verdictOn(ErrorCode::notLeader, repeatable) == Verdict::elsewhere);
    CHECK(verdictOn(ErrorCode::unavailable, repeatable) == Verdict::elsewhere);
    CHECK(verdictOn(ErrorCode::diskFull, repeatable) == Verdict::elsewhere);
    for (ErrorCode code : {ErrorCode::app, ErrorCode::noSuchGroup, ErrorCode::badRequest,
                           ErrorCode::denied, ErrorCode::tooLarge}) {
      CHECK(verdictOn(code, repeatable) == Verdict::final);
    }
  }
}

TEST_CASE("client/retry: a refusal after a doubtful attempt says that it may have been done") {
  Fault refusal{ErrorCode::groupRemoved, "group orders: removed", ""};
  CHECK(finalFault(refusal, false) == refusal);
  Fault doubted = finalFault(refusal, true);
  CHECK(doubted.code == ErrorCode::unknown);
  CHECK(doubted.text.find("groupRemoved: group orders: removed") != std::string::npos);
  Fault app{ErrorCode::app, "no", "emptyKey"};
  CHECK(finalFault(app, true) == app);
}

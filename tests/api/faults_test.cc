// Faults on their way over the wire and back.
#include "host/api/faults.h"

#include <capnp/message.h>
#include <doctest/doctest.h>

namespace flotilla::api {
namespace {

std::string described(const kj::Exception& exception) {
  return exception.getDescription().cStr();
}

}  // namespace

TEST_CASE("api/faults: every code survives the trip as an exception and as a struct") {
  for (auto number = static_cast<uint16_t>(ErrorCode::noSuchGroup);
       number <= static_cast<uint16_t>(ErrorCode::app); ++number) {
    Fault fault{static_cast<ErrorCode>(number), "group a: found b: do c", ""};
    if (fault.code == ErrorCode::app) fault.appCode = "emptyKey";
    CHECK(faultOf(exceptionOf(fault)) == fault);
    capnp::MallocMessageBuilder message;
    write(fault, message.initRoot<schema::Fault>());
    CHECK(read(message.getRoot<schema::Fault>().asReader()) == fault);
  }
}

TEST_CASE("api/faults: an exception's description is what every client parses") {
  CHECK(described(exceptionOf(ErrorCode::tooLarge, "params: 9 bytes")) ==
        "flotilla/tooLarge: params: 9 bytes");
  CHECK(described(exceptionOf(Fault{ErrorCode::app, "a key needs a byte", "emptyKey"})) ==
        "flotilla/app/emptyKey: a key needs a byte");
}

TEST_CASE("api/faults: overloaded and noSuchMethod have exception types of their own") {
  using Type = kj::Exception::Type;
  CHECK((exceptionOf(ErrorCode::overloaded, "").getType() == Type::OVERLOADED));
  CHECK((exceptionOf(ErrorCode::noSuchMethod, "").getType() == Type::UNIMPLEMENTED));
  CHECK((exceptionOf(ErrorCode::unavailable, "").getType() == Type::FAILED));
}

TEST_CASE("api/faults: what came over a wire has words before it and is read all the same") {
  kj::Exception remote(kj::Exception::Type::FAILED, __FILE__, __LINE__,
                       kj::str("remote exception: flotilla/notLeader: ask host 2: soon"));
  CHECK(faultOf(remote) == Fault{ErrorCode::notLeader, "ask host 2: soon", ""});
}

TEST_CASE("api/faults: a dead connection is unavailable, anything else strange is unknown") {
  kj::Exception dead(kj::Exception::Type::DISCONNECTED, __FILE__, __LINE__, kj::str("gone"));
  CHECK(faultOf(dead).code == ErrorCode::unavailable);
  kj::Exception strange(kj::Exception::Type::FAILED, __FILE__, __LINE__, kj::str("boom"));
  CHECK(faultOf(strange) == Fault{ErrorCode::unknown, "boom", ""});
  kj::Exception future(kj::Exception::Type::FAILED, __FILE__, __LINE__,
                       kj::str("flotilla/brandNew: what"));
  CHECK(faultOf(future) == Fault{ErrorCode::unknown, "what", ""});
}

TEST_CASE("api/faults: what a host finds on its disk is `faulted` on the wire") {
  CHECK(described(exceptionOf(ErrorCode::corrupt, "log: x")) == "flotilla/faulted: log: x");
  capnp::MallocMessageBuilder message;
  write(Fault{ErrorCode::io, "disk", ""}, message.initRoot<schema::Fault>());
  CHECK(message.getRoot<schema::Fault>().getCode() == schema::ErrorCode::FAULTED);
}

TEST_CASE("api/faults: the catalog's own codes become the codes they are named after") {
  group::Outcome outcome;
  outcome.code = ErrorCode::app;
  outcome.appCode = std::string("alreadyExists");
  outcome.body = Bytes::copyOf("group a: exists");
  CHECK(faultOfCatalog(outcome) == Fault{ErrorCode::alreadyExists, "group a: exists", ""});
  CHECK(faultOf(outcome) == Fault{ErrorCode::app, "group a: exists", "alreadyExists"});
  outcome.appCode = std::string("notACode");
  CHECK(faultOfCatalog(outcome).code == ErrorCode::app);
}

}  // namespace flotilla::api

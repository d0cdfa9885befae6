// Faults that travel as exceptions.
#include "host/net/refusal.h"

#include <doctest/doctest.h>

namespace flotilla {

TEST_CASE("net/refusal: a fault comes back from its exception, also with a prefix before it") {
  kj::Exception exception = net::refusal(ErrorCode::overloaded, "group 7: full: try later");
  CHECK(exception.getType() == kj::Exception::Type::OVERLOADED);
  CHECK(exception.getDescription() == "flotilla/overloaded: group 7: full: try later");
  CHECK(net::faultOf(exception) == Fault{ErrorCode::overloaded, "group 7: full: try later", ""});
  kj::Exception remote(kj::Exception::Type::FAILED, "there", 1,
                       kj::str("remote exception: flotilla/app/emptyKey: a key needs a byte"));
  CHECK(net::faultOf(remote) == Fault{ErrorCode::app, "a key needs a byte", "emptyKey"});
}

TEST_CASE("net/refusal: dead connections are unavailable, in few words") {
  kj::Exception reset(kj::Exception::Type::DISCONNECTED, "x", 1,
                      kj::str("::read(fd, buffer, maxBytes): Connection reset by peer"));
  CHECK(net::faultOf(reset) == Fault{ErrorCode::unavailable, "connection reset", ""});
  kj::Exception refused(kj::Exception::Type::DISCONNECTED, "x", 1,
                        kj::str("connect() Connection refused"));
  CHECK(net::faultOf(refused).text == "connection refused");
  CHECK(net::faultOf(net::gone("no answer within 2000 ms")).text == "no answer within 2000 ms");
  kj::Exception other(kj::Exception::Type::FAILED, "x", 1, kj::str("something else"));
  CHECK(net::faultOf(other) == Fault{ErrorCode::unknown, "something else", ""});
}

TEST_CASE("net/refusal: a code of a later version is unknown") {
  kj::Exception later(kj::Exception::Type::FAILED, "x", 1, kj::str("flotilla/tooEarly: wait"));
  CHECK(net::faultOf(later) == Fault{ErrorCode::unknown, "wait", ""});
}

}  // namespace flotilla
